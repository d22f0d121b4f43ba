import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, connect } from 'amqplib'
import type { Bench, BenchContext } from '../lib/bench.ts'
import { freePort, ready } from '../lib/http.ts'
import { CLI, startProgram } from '../lib/program.ts'
import { type RequestLimits, type SandboxProcess, startSandbox } from '../lib/sandbox.ts'

const EVENTS = 10_000
const CLIENT = { clientId: 'local.bench', clientSecret: 'bench-secret-of-an-application' }
/** Rows of one read, and calls of one request. */
const LIMIT = 50
const BATCH = 50

/**
 * A queue of offline events, drained under the request limit of a portal. The bound is that of a program that knows how many there are: one read and one removal for 50 events, 50 of them a
 * request, and one request that looks.
 */
export const offlineBench: Bench = {
  name: 'offline',
  about: '10,000 offline events, fetched, published and cleared under the request limit of a portal',
  async run(context) {
    const limits = { capacity: 50, drainPerSecond: context.quick ? 20 : 2 }
    const best = Math.ceil((2 * Math.ceil(EVENTS / LIMIT)) / BATCH) + 1
    const byHand = await drainByHand(context, limits)
    const { seconds, requests, refused, lost, arrived, twice } = await drainByBridge(context, limits)
    const beside = `by hand, one request after another: ${byHand.requests} requests, ${byHand.seconds.toFixed(1)} s`
    context.figure({
      name: 'share of the request bound',
      value: (100 * best) / requests,
      unit: '%',
      bound: { least: 90 },
      baseline: `${best} requests at best; ${beside}`,
    })
    context.figure({ name: 'requests', value: requests, unit: 'requests', baseline: beside })
    context.figure({ name: 'time until all have arrived', value: seconds, unit: 's', baseline: beside })
    context.figure({ name: 'events a second', value: arrived / seconds, unit: 'events/s' })
    context.figure({ name: 'refusals', value: refused, unit: 'refusals', bound: { most: 0 } })
    context.figure({ name: 'not arrived', value: EVENTS - arrived, unit: 'events', bound: { most: 0 } })
    context.figure({ name: 'removed unseen', value: lost, unit: 'events', bound: { most: 0 } })
    context.figure({ name: 'seen twice', value: twice, unit: 'events', bound: { most: 0 } })
  },
}

interface Application {
  call(method: string, params?: object): Promise<Answer>
}

interface Answer {
  readonly result: {
    readonly process_id: string
    readonly events: readonly { readonly MESSAGE_ID: string }[]
  }
  readonly error?: string
}

async function control<T>({ url }: Pick<SandboxProcess, 'url'>, path: string, body: object): Promise<T> {
  const answer = await fetch(`${url}/__sandbox/${path}`, { method: 'POST', body: JSON.stringify(body) })
  if (!answer.ok) throw new Error(`${path}: ${await answer.text()}`)
  return (await answer.json()) as T
}

/** Installs the application, with an offline handler for new deals. */
async function install(sandbox: SandboxProcess, nudges?: string): Promise<Application> {
  await control(sandbox, 'apps', { do: 'install', clientId: CLIENT.clientId })
  const { token } = await control<{ token: { access_token: string } }>(sandbox, 'apps', {
    do: 'token',
    clientId: CLIENT.clientId,
  })
  const application: Application = {
    async call(method, params = {}) {
      const answer = await fetch(`${sandbox.url}/rest/${method}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ ...params, auth: token.access_token }),
      })
      return (await answer.json()) as Answer
    },
  }
  await application.call('event.bind', { event: 'ONCRMDEALADD', event_type: 'offline' })
  if (nudges !== undefined) await application.call('event.bind', { event: 'ONOFFLINEEVENT', handler: nudges })
  return application
}

interface Drained {
  readonly seconds: number
  readonly requests: number
}

async function drainByBridge(
  context: BenchContext,
  limits: RequestLimits,
): Promise<Drained & { refused: number; lost: number; arrived: number; twice: number }> {
  const { folder, amqpUrl } = context
  await using sandbox = await startSandbox(context, { deals: 10, limits })
  await using reader = await openReader(amqpUrl)
  const address = `127.0.0.1:${await freePort()}`
  const { exchange } = reader
  const env = {
    BRIDGE_BROKER: amqpUrl,
    BRIDGE_STORE: `sqlite:${folder.file('offline.db')}`,
    BRIDGE_HTTP: address,
    BRIDGE_LIMITS: `${limits.capacity}/${limits.drainPerSecond}`,
    BRIDGE_OAUTH_SERVERS: sandbox.url,
    BRIDGE_LOG_LEVEL: 'info',
    BRIDGE_EVENTS_EXCHANGE: exchange,
    BRIDGE_COMMAND_QUEUE: `${exchange}.commands`,
    BRIDGE_REPLY_QUEUE: `${exchange}.replies`,
    BRIDGE_DEAD_QUEUE: `${exchange}.dead`,
    CLIENT_SECRET: CLIENT.clientSecret,
  }
  const adding = startProgram(CLI, ['apps', 'add', CLIENT.clientId, '--secret-file', 'env:CLIENT_SECRET'], {
    cwd: folder.path,
    env,
  })
  if ((await adding.ended) !== 0) throw new Error('The application could not be added')
  await using _bridge = startProgram(CLI, ['run'], {
    cwd: folder.path,
    env,
    outFile: folder.file('offline.log'),
  })
  await ready(`http://${address}/health/ready`)
  const events = `http://${address}/b24/events`
  await control(sandbox, 'applications', { ...CLIENT, title: 'Bench', hasUi: false, eventUrl: events })
  await install(sandbox, events)
  // One event first, so that the handlers are known; the drain is over when the portal is left alone.
  await control(sandbox, 'changes', { do: 'add', entity: 'deal' })
  await reader.until(1)
  await sleep(6000)
  const before = await sandbox.stats()
  const startedAt = performance.now()
  await control(sandbox, 'changes', { do: 'add', entity: 'deal', count: EVENTS, oneHit: true, wait: false })
  await reader.until(EVENTS + 1)
  const seconds = (performance.now() - startedAt) / 1000
  await sleep(6000)
  const { requests, refused, offline } = (await sandbox.stats()) as Stats
  return {
    seconds,
    requests: requests - before.requests,
    refused: Object.values(refused).reduce((sum, count) => sum + count, 0),
    lost: offline.lost,
    arrived: reader.count() - 1,
    twice: reader.twice(),
  }
}

type Stats = Awaited<ReturnType<SandboxProcess['stats']>> & { readonly offline: { readonly lost: number } }

/** As the documentation of the portal shows it: read, publish, clear, and again, at the pace that the portal allows. */
async function drainByHand(context: BenchContext, limits: RequestLimits): Promise<Drained> {
  await using sandbox = await startSandbox(context, { deals: 10, limits })
  await control(sandbox, 'applications', { ...CLIENT, title: 'Bench', hasUi: false })
  const { call } = await install(sandbox)
  await control(sandbox, 'changes', { do: 'add', entity: 'deal', count: EVENTS, oneHit: true, wait: false })
  const model: ChannelModel = await connect(context.amqpUrl)
  const channel = await model.createConfirmChannel()
  const queue = `b24-bench-${process.pid}-by-hand`
  await channel.assertQueue(queue, { arguments: { 'x-queue-type': 'quorum' } })
  const startedAt = performance.now()
  let requests = 0
  // The portal drains in steps of a second, so a careful program stays one step below the limit.
  const burst = limits.capacity - limits.drainPerSecond
  const paced = async (method: string, params: object): Promise<Answer> => {
    const early = startedAt + ((requests++ - burst) * 1000) / limits.drainPerSecond - performance.now()
    if (early > 0) await sleep(early)
    const answer = await call(method, params)
    if (answer.error !== undefined) throw new Error(`The portal refused: ${answer.error}`)
    return answer
  }
  for (;;) {
    const { process_id, events } = (await paced('event.offline.get', { clear: 0, limit: LIMIT })).result
    if (events.length === 0) break
    for (const event of events)
      channel.sendToQueue(queue, Buffer.from(JSON.stringify(event)), { persistent: true })
    await channel.waitForConfirms()
    const message_id = events.map(({ MESSAGE_ID }) => MESSAGE_ID)
    await paced('event.offline.clear', { process_id, message_id })
  }
  const seconds = (performance.now() - startedAt) / 1000
  await channel.deleteQueue(queue)
  await model.close()
  return { seconds, requests }
}

interface Reader extends AsyncDisposable {
  readonly exchange: string
  /** Different offline events so far. */
  count(): number
  twice(): number
  until(count: number): Promise<void>
}

/** The consumer of all events, on a queue and an exchange of its own. */
async function openReader(amqpUrl: string): Promise<Reader> {
  const model: ChannelModel = await connect(amqpUrl)
  model.on('error', () => undefined)
  const channel = await model.createChannel()
  const exchange = `b24-bench-${process.pid}-offline`
  const queue = `${exchange}.sink`
  await channel.assertExchange(exchange, 'topic', { durable: true })
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await channel.bindQueue(queue, exchange, 'offline.#')
  const keys = new Set<string>()
  let messages = 0
  await channel.consume(
    queue,
    (raw) => {
      if (raw === null) return
      messages++
      keys.add(String(raw.properties.messageId))
    },
    { noAck: true },
  )
  return {
    exchange,
    count: () => keys.size,
    twice: () => messages - keys.size,
    async until(count) {
      for (const until = Date.now() + 120_000; keys.size < count; await sleep(10)) {
        if (Date.now() > until) throw new Error(`${keys.size} of ${count} events after two minutes`)
      }
    },
    async [Symbol.asyncDispose]() {
      for (const name of ['sink', 'unrouted', 'commands', 'replies', 'dead'])
        await channel.deleteQueue(`${exchange}.${name}`)
      await channel.deleteExchange(exchange)
      await model.close()
    },
  }
}
