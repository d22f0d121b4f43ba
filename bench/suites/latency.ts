import type { Bench, BenchContext } from '../lib/bench.ts'
import { startBridge } from '../lib/bridge.ts'
import { freePort, ready } from '../lib/http.ts'
import { programPath, startProgram } from '../lib/program.ts'
import { openQueues, type Queues, type QueueType } from '../lib/queues.ts'
import { startSandbox } from '../lib/sandbox.ts'
import { post } from '../lib/serial.ts'
import { median, quantile } from '../lib/statistics.ts'

const DEALS = 100

/** One command at a time, each beside a direct call of the same method, so that both meet the same moment. */
export const latencyBench: Bench = {
  name: 'latency',
  about: 'milliseconds that the bridge adds to one call when it is idle',
  async run(context) {
    await overRabbitmq(context, 'classic')
    await overRabbitmq(context, 'quorum')
    await embedded(context)
  },
}

/**
 * Through RabbitMQ a command passes two queues. A relay on two such queues, asked in turn with the bridge, shows what
 * they take themselves; quorum queues write every message to the disk, so there the disk is what is measured.
 */
async function overRabbitmq(context: BenchContext, type: QueueType): Promise<void> {
  await using sandbox = await startSandbox(context, { deals: DEALS, limits: 'off' })
  await using queues = await openQueues(context.amqpUrl)
  await using echoes = await openQueues(context.amqpUrl)
  await queues.declare(type)
  await echoes.declare(type)
  await using _bridge = startBridge(context, queues, {
    webhook: sandbox.webhook,
    limits: 'off',
    topology: 'passive',
  })
  await using _relay = startProgram(
    programPath('relay'),
    [context.amqpUrl, echoes.commands, echoes.replies],
    {
      cwd: context.folder.path,
    },
  )
  await queues.served()
  await echoes.served()
  const ask = await asker(queues)
  const echo = await asker(echoes)
  const samples = await compare(context, sandbox.webhook, [ask, echo])
  const [added, relayed] = [samples.added[0] ?? [], samples.other[1] ?? []]
  const own = added.map((value, i) => value - (relayed[i] ?? 0))
  const beside = `a bare relay on ${type} queues takes ${ms(median(relayed))} ms`
  context.figure({
    name: `added by the bridge, ${type} queues`,
    value: median(own),
    unit: 'ms',
    bound: { most: 5 },
    baseline: `without the relay's ${ms(median(relayed))} ms on the same queues`,
  })
  const name = `RabbitMQ, ${type} queues`
  // What a disk takes for two messages is no promise of ours.
  report(context, name, samples, { beside, bounded: type === 'classic' })
}

/** No queue can be reached from outside here, so commands come over HTTP; they take the same road from there on. */
async function embedded(context: BenchContext): Promise<void> {
  await using sandbox = await startSandbox(context, { deals: DEALS, limits: 'off' })
  const address = `127.0.0.1:${await freePort()}`
  await using _bridge = startBridge(context, undefined, {
    webhook: sandbox.webhook,
    limits: 'off',
    http: address,
  })
  await ready(`http://${address}/health/ready`)
  const ask = async (body: string): Promise<void> => {
    const answer = await post(`http://${address}/v1/commands`, body)
    if (!answer.includes('"outcome":"done"')) throw new Error(`The command failed: ${answer}`)
  }
  report(context, 'embedded, over HTTP', await compare(context, sandbox.webhook, [ask]), {
    beside: '',
    bounded: true,
  })
}

interface Samples {
  readonly direct: readonly number[]
  /** Milliseconds on each of the other roads, in their order, less the direct call beside it. */
  readonly added: readonly (readonly number[])[]
  readonly other: readonly (readonly number[])[]
}

async function compare(
  { quick }: BenchContext,
  webhook: string,
  roads: readonly ((body: string) => Promise<void>)[],
): Promise<Samples> {
  const direct: number[] = []
  const added: number[][] = roads.map(() => [])
  const other: number[][] = roads.map(() => [])
  const warmUp = 200
  const count = warmUp + (quick ? 300 : 1000)
  for (let i = 0; i < count; i++) {
    const params = { id: (i % DEALS) + 1 }
    const plain = await timed(() => post(`${webhook}crm.deal.get`, JSON.stringify(params)))
    if (i >= warmUp) direct.push(plain)
    const body = JSON.stringify({ method: 'crm.deal.get', params })
    for (const [at, road] of roads.entries()) {
      const took = await timed(() => road(body))
      if (i < warmUp) continue
      added[at]?.push(took - plain)
      other[at]?.push(took)
    }
  }
  return { direct, added, other }
}

function report(
  context: BenchContext,
  road: string,
  samples: Samples,
  { beside, bounded }: { readonly beside: string; readonly bounded: boolean },
): void {
  const added = samples.added[0] ?? []
  const direct = `a direct call takes ${ms(median(samples.direct))} ms`
  context.figure({
    name: `added at the median, ${road}`,
    value: median(added),
    unit: 'ms',
    ...(bounded ? { bound: { most: 5 } } : {}),
    baseline: [direct, beside].filter((text) => text !== '').join('; '),
  })
  context.figure({
    name: `added at the 99th percentile, ${road}`,
    value: quantile(added, 0.99),
    unit: 'ms',
    baseline: `a direct call takes ${ms(quantile(samples.direct, 0.99))} ms there`,
  })
}

/** Sends one command and waits for the one reply. */
async function asker(queues: Queues): Promise<(body: string) => Promise<void>> {
  let replied = (): void => undefined
  await queues.channel.consume(queues.replies, () => replied(), { noAck: true })
  let count = 0
  return async (body) => {
    const reply = new Promise<void>((resolve) => {
      replied = resolve
    })
    const messageId = `l${++count}`
    queues.channel.publish('', queues.commands, Buffer.from(body), { persistent: true, messageId })
    await reply
  }
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await act()
  return performance.now() - startedAt
}

function ms(value: number): string {
  return value.toFixed(2)
}
