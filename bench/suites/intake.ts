import { setTimeout as sleep } from 'node:timers/promises'
import { type ChannelModel, connect } from 'amqplib'
import type { Bench, BenchContext } from '../lib/bench.ts'
import { openGate } from '../lib/gate.ts'
import { freePort, ready } from '../lib/http.ts'
import { CLI, type Program, programPath, startProgram } from '../lib/program.ts'

const PORTALS = 50
const RATE = 1000
const TOKEN = '0123456789abcdef0123456789abcdef'

/** What the poster prints. */
interface Posted {
  readonly sent: number
  readonly answered: number
  readonly statuses: Readonly<Record<string, number>>
  readonly p50: number
  readonly p99: number
  readonly p999: number
  readonly worst: number
}

/** What the reader found. */
interface Found {
  readonly lost: number
  readonly twice: number
  readonly outOfOrder: number
}

/** Events from fifty portals at a thousand a second, each on a disk before its 200; then with the broker gone in the middle. */
export const intakeBench: Bench = {
  name: 'intake',
  about: 'milliseconds from an event of a portal to the 200 that says it is on a disk',
  async run(context) {
    const seconds = context.quick ? 10 : 60
    const bare = await bareIntake(context, seconds)
    const baseline = `a bare server that parses and publishes, without any check: ${ms(bare)}`
    await steady(context, seconds, baseline)
    await brokerAway(context, context.quick ? 14 : 60, context.quick ? 4 : 20)
  },
}

async function steady(context: BenchContext, seconds: number, baseline: string): Promise<void> {
  await using reader = await openReader(context.amqpUrl)
  await using bridge = await startIntake(context, context.amqpUrl, reader.exchange)
  await post(context, bridge.url, Math.min(5, seconds))
  const already = reader.count()
  const cpuBefore = bridge.program.cpuSeconds()
  const posted = await post(context, bridge.url, seconds, 1_000_000)
  const cpu = bridge.program.cpuSeconds() - cpuBefore
  accepted(posted)
  await reader.until(already + posted.sent)
  const found = reader.check(posted.sent)
  const name = `${RATE} events/s for ${seconds} s`
  context.figure({ name: `${name}, p99`, value: posted.p99, unit: 'ms', bound: { most: 50 }, baseline })
  context.figure({ name: `${name}, p50`, value: posted.p50, unit: 'ms' })
  context.figure({ name: `${name}, longest`, value: posted.worst, unit: 'ms' })
  context.figure({
    name: 'processor time of one event',
    value: (cpu / posted.sent) * 1e6,
    unit: 'µs',
  })
  checked(context, name, found)
}

async function brokerAway(context: BenchContext, seconds: number, awaySeconds: number): Promise<void> {
  await using gate = await openGate(context.amqpUrl)
  await using reader = await openReader(context.amqpUrl)
  await using bridge = await startIntake(context, gate.url, reader.exchange)
  await post(context, bridge.url, 2)
  const already = reader.count()
  const posting = post(context, bridge.url, seconds, 1_000_000)
  await sleep(((seconds - awaySeconds) / 2) * 1000)
  gate.shut()
  await sleep(awaySeconds * 1000)
  gate.open()
  const posted = await posting
  accepted(posted)
  await reader.until(already + posted.sent)
  const found = reader.check(posted.sent)
  const name = `the broker away for ${awaySeconds} s of ${seconds}`
  context.figure({ name: `${name}, p99`, value: posted.p99, unit: 'ms', bound: { most: 100 } })
  context.figure({ name: `${name}, longest`, value: posted.worst, unit: 'ms' })
  checked(context, name, found)
}

function checked({ figure }: BenchContext, name: string, found: Found): void {
  figure({ name: `${name}: lost`, value: found.lost, unit: 'events', bound: { most: 0 } })
  figure({
    name: `${name}: out of order in their portal`,
    value: found.outOfOrder,
    unit: 'events',
    bound: { most: 0 },
  })
  // What was under way when the connection was cut is published again, with the same id.
  figure({
    name: `${name}: seen twice`,
    value: found.twice,
    unit: 'events',
    bound: { most: name.includes('away') ? 50 : 0 },
  })
}

function accepted({ sent, answered, statuses }: Posted): void {
  if (statuses['200'] === sent && answered === sent) return
  throw new Error(`Of ${sent} events ${answered} were answered: ${JSON.stringify(statuses)}`)
}

async function bareIntake(context: BenchContext, seconds: number): Promise<Posted> {
  await using reader = await openReader(context.amqpUrl)
  const port = await freePort()
  await using program = startProgram(
    programPath('bare-intake'),
    [context.amqpUrl, reader.exchange, String(port)],
    { cwd: context.folder.path },
  )
  await program.line()
  const url = `http://127.0.0.1:${port}/b24/events`
  await post(context, url, Math.min(5, seconds))
  return await post(context, url, seconds)
}

interface Intake extends AsyncDisposable {
  readonly url: string
  readonly program: Program
}

async function startIntake({ folder }: BenchContext, broker: string, exchange: string): Promise<Intake> {
  const address = `127.0.0.1:${await freePort()}`
  const store = `sqlite:${folder.file(`${exchange}.db`)}`
  const fill = startProgram(programPath('fill-events'), [process.cwd(), store, String(PORTALS), TOKEN], {
    cwd: folder.path,
  })
  if ((await fill.ended) !== 0) throw new Error('The store could not be filled')
  const names = { commands: `${exchange}.commands`, replies: `${exchange}.replies`, dead: `${exchange}.dead` }
  const program = startProgram(CLI, ['run'], {
    cwd: folder.path,
    env: {
      BRIDGE_BROKER: broker,
      BRIDGE_STORE: store,
      BRIDGE_HTTP: address,
      BRIDGE_LOG_LEVEL: 'warn',
      BRIDGE_EVENTS_EXCHANGE: exchange,
      BRIDGE_COMMAND_QUEUE: names.commands,
      BRIDGE_REPLY_QUEUE: names.replies,
      BRIDGE_DEAD_QUEUE: names.dead,
    },
    outFile: folder.file('bridge.log'),
    nodeFlags: (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== ''),
  })
  await ready(`http://${address}/health/ready`)
  return {
    url: `http://${address}/b24/events`,
    program,
    [Symbol.asyncDispose]: () => program[Symbol.asyncDispose](),
  }
}

async function post({ folder }: BenchContext, url: string, seconds: number, firstId = 0): Promise<Posted> {
  const program = startProgram(
    programPath('post-events'),
    [url, String(RATE), String(seconds), String(PORTALS), TOKEN, String(firstId)],
    { cwd: folder.path },
  )
  return JSON.parse(await program.line()) as Posted
}

interface Reader extends AsyncDisposable {
  readonly exchange: string
  /** Different events so far. */
  count(): number
  until(count: number): Promise<void>
  /** Of the events with ids from a million on. */
  check(sent: number): Found
}

let opened = 0

/** The consumer of all events, on a queue and an exchange of its own. */
async function openReader(amqpUrl: string): Promise<Reader> {
  const model: ChannelModel = await connect(amqpUrl)
  model.on('error', () => undefined)
  const channel = await model.createChannel()
  const exchange = `b24-bench-${process.pid}-events-${++opened}`
  const queue = `${exchange}.sink`
  await channel.assertExchange(exchange, 'topic', { durable: true })
  await channel.assertQueue(queue, { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  await channel.bindQueue(queue, exchange, '#')
  const ids = new Set<number>()
  const last = new Map<string, number>()
  let twice = 0
  let outOfOrder = 0
  await channel.consume(
    queue,
    (raw) => {
      if (raw === null) return
      const body = JSON.parse(raw.content.toString()) as {
        portal?: { member_id: string }
        data?: { FIELDS: { ID: string } }
      }
      // The bare server knows nothing of portals; its events are not looked at.
      if (body.data === undefined) return
      const id = Number(body.data.FIELDS.ID)
      if (ids.has(id)) {
        twice++
        return
      }
      ids.add(id)
      const member = body.portal?.member_id ?? ''
      if (member !== '' && id < (last.get(member) ?? -1)) outOfOrder++
      last.set(member, Math.max(id, last.get(member) ?? -1))
    },
    { noAck: true },
  )
  return {
    exchange,
    count: () => ids.size,
    async until(count) {
      for (const until = Date.now() + 60_000; ids.size < count && Date.now() < until; ) await sleep(50)
      // One too many would be here by now.
      await sleep(500)
    },
    check(sent) {
      let lost = 0
      for (let id = 1_000_000; id < 1_000_000 + sent; id++) if (!ids.has(id)) lost++
      return { lost, twice, outOfOrder }
    },
    async [Symbol.asyncDispose]() {
      for (const name of ['sink', 'unrouted', 'commands', 'replies', 'dead'])
        await channel.deleteQueue(`${exchange}.${name}`)
      await channel.deleteExchange(exchange)
      await model.close()
    },
  }
}

function ms({ p50, p99 }: Posted): string {
  return `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms`
}
