import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, BenchContext } from '../lib/bench.ts'
import { startBridge } from '../lib/bridge.ts'
import { type BenchCall, halfWrites, messageOf, reads } from '../lib/commands.ts'
import { type Program, programPath, startProgram } from '../lib/program.ts'
import { openQueues, type Queues } from '../lib/queues.ts'
import { startSandbox } from '../lib/sandbox.ts'
import { median } from '../lib/statistics.ts'

const DEALS = 1000

interface Mix {
  readonly name: string
  readonly logLevel: 'warn' | 'info'
  readonly calls: (count: number, deals: number) => BenchCall[]
}

const MIXES: readonly Mix[] = [
  { name: 'reads', logLevel: 'warn', calls: reads },
  { name: 'half writes', logLevel: 'warn', calls: halfWrites },
  { name: 'reads, a log line each', logLevel: 'info', calls: reads },
]

interface Run {
  /** Commands a second from queue to confirmed reply. */
  readonly rate: number
  /** Microseconds of processor time that the process used for a command. */
  readonly cpuMicros: number
}

/**
 * What the bridge itself costs: a portal without limits or latency, commands waiting in RabbitMQ, replies confirmed by
 * it. Beside it, on the same queues, a relay that does nothing but consume, publish with confirms and acknowledge.
 */
export const overheadBench: Bench = {
  name: 'overhead',
  about: 'commands a second in one process, beside a bare relay without any portal',
  async run(context) {
    const count = context.quick ? 10_000 : 20_000
    const rounds = context.quick ? 1 : 3
    for (const mix of MIXES) {
      const bridge: Run[] = []
      const relay: Run[] = []
      for (let round = 0; round < rounds; round++) {
        bridge.push(await bridgeRun(context, mix, count))
        relay.push(await relayRun(context, mix, count))
      }
      const rate = median(bridge.map((run) => run.rate))
      const bare = median(relay.map((run) => run.rate))
      const micros = median(bridge.map((run) => run.cpuMicros))
      const bareMicros = median(relay.map((run) => run.cpuMicros))
      context.figure({
        name: mix.name,
        value: rate,
        unit: 'commands/s',
        bound: { least: 5000 },
        baseline:
          `bare relay ${Math.round(bare)}/s, ratio ${(rate / bare).toFixed(2)}; ` +
          `processor ${Math.round(micros)} µs a command, relay ${Math.round(bareMicros)} µs`,
      })
    }
  },
}

async function bridgeRun(context: BenchContext, mix: Mix, count: number): Promise<Run> {
  await using sandbox = await startSandbox(context, { deals: DEALS, limits: 'off' })
  const { webhook } = sandbox
  return await run(context, mix, count, webhook, (queues) =>
    startBridge(context, queues, {
      webhook,
      limits: 'off',
      logLevel: mix.logLevel,
      nodeFlags: (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter((flag) => flag !== ''),
    }),
  )
}

function relayRun(context: BenchContext, mix: Mix, count: number): Promise<Run> {
  return run(context, mix, count, '', (queues) =>
    startProgram(programPath('relay'), [context.amqpUrl, queues.commands, queues.replies], {
      cwd: context.folder.path,
    }),
  )
}

/** The first fifth warms the process up; time is taken over the rest. */
async function run(
  context: BenchContext,
  mix: Mix,
  count: number,
  webhook: string,
  start: (queues: Queues) => Program,
): Promise<Run> {
  const warmUp = count / 4
  const total = count + warmUp
  await using queues = await openQueues(context.amqpUrl)
  await queues.declare()
  await queues.send(mix.calls(total, DEALS).map((call) => messageOf(call, 'native', webhook)))
  await using program = start(queues)
  const begin = await reached(queues, warmUp, program)
  const end = await reached(queues, total, program)
  const replies = await queues.read(total)
  if (replies.length !== total) throw new Error(`${replies.length} replies to ${total} commands`)
  const failed = replies.find(
    ({ body }) => body.startsWith('{"portal"') && !body.includes('"outcome":"done"'),
  )
  if (failed !== undefined) throw new Error(`A command failed: ${failed.body.slice(0, 500)}`)
  const done = end.count - begin.count
  return { rate: done / (end.at - begin.at), cpuMicros: ((end.cpu - begin.cpu) * 1e6) / done }
}

/** Seconds, replies and processor time at the moment when at least so many replies were there. */
async function reached(
  queues: Queues,
  wanted: number,
  program: Program,
): Promise<{ at: number; count: number; cpu: number }> {
  for (const until = Date.now() + 120_000; Date.now() < until; await sleep(20)) {
    const count = await queues.waiting()
    if (count >= wanted) return { at: performance.now() / 1000, count, cpu: program.cpuSeconds() }
  }
  throw new Error(`Fewer than ${wanted} replies after two minutes`)
}
