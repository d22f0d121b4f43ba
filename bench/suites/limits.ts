import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench, BenchContext } from '../lib/bench.ts'
import { type ContractName, startBridge } from '../lib/bridge.ts'
import { messageOf, reads } from '../lib/commands.ts'
import { openQueues } from '../lib/queues.ts'
import { type RequestLimits, startSandbox } from '../lib/sandbox.ts'
import { postSerially } from '../lib/serial.ts'

const COMMANDS = 10_000
const DEALS = 1000
/** Requests that 10,000 commands need when every request carries 50. */
const REQUESTS = COMMANDS / 50
const CONTRACTS: readonly ContractName[] = ['native', 'bitrix24-bridge', 'rabbitmq-to-bitrix24']

/**
 * Many single commands against the limits of a standard portal. The bound is what the portal allows at best: fifty
 * requests at once, the others as its counter drains.
 */
export const limitsBench: Bench = {
  name: 'limits',
  about: '10,000 single commands through RabbitMQ under the request limit of a portal',
  async run(context) {
    const limits = { capacity: 50, drainPerSecond: context.quick ? 20 : 2 }
    const ideal = (REQUESTS - limits.capacity) / limits.drainPerSecond
    // At ten times the rate two fixed costs weigh ten times more: the second of draining that the bridge stays below
    // the limit, and the first batches, which leave before all commands are there.
    const slack = context.quick ? 2 : 0
    const oneByOne = await oneByOneSeconds(context, limits)
    for (const contract of CONTRACTS) {
      const { seconds, requests, refused } = await measure(context, contract, limits)
      context.figure({
        name: `10,000 commands, ${contract}`,
        value: seconds,
        unit: 's',
        bound: { most: 1.07 * ideal + slack },
        baseline: `the portal's bound ${ideal} s, one by one ${Math.round(oneByOne)} s`,
      })
      context.figure({
        name: `requests, ${contract}`,
        value: requests,
        unit: 'requests',
        bound: { most: 210 },
        baseline: `${REQUESTS} full batches, one by one ${COMMANDS}`,
      })
      context.figure({ name: `refusals, ${contract}`, value: refused, unit: 'refusals', bound: { most: 0 } })
    }
  },
}

async function measure(
  context: BenchContext,
  contract: ContractName,
  limits: RequestLimits,
): Promise<{ seconds: number; requests: number; refused: number }> {
  await using sandbox = await startSandbox(context, { deals: DEALS, limits })
  await using queues = await openQueues(context.amqpUrl)
  const { webhook } = sandbox
  const rate = `${limits.capacity}/${limits.drainPerSecond}`
  await using _bridge = startBridge(context, queues, { contract, webhook, limits: rate })
  await queues.served()
  const messages = reads(COMMANDS, DEALS).map((call) => messageOf(call, contract, webhook))
  const startedAt = performance.now()
  await queues.send(messages)
  while ((await queues.waiting()) < COMMANDS) {
    if (performance.now() - startedAt > 300_000) throw new Error('Replies are missing after five minutes')
    await sleep(50)
  }
  const seconds = (performance.now() - startedAt) / 1000
  const replies = await queues.read(COMMANDS)
  const answered = new Set(
    replies.map(({ correlationId, messageId, body }) => {
      // The contract bitrix24-bridge names a command in its meta alone.
      if (contract === 'bitrix24-bridge') return /"id": ?"(r\d+)"/.exec(body)?.[1]
      return contract === 'native' ? correlationId : messageId
    }),
  )
  if (replies.length !== COMMANDS || answered.size !== COMMANDS)
    throw new Error(`${replies.length} replies to ${answered.size} of ${COMMANDS} commands`)
  const { requests, refused, commands } = await sandbox.stats()
  const carriedOut = commands['crm.deal.get']
  if (carriedOut !== COMMANDS) throw new Error(`${carriedOut} calls for ${COMMANDS} commands`)
  return { seconds, requests, refused: Object.values(refused).reduce((sum, count) => sum + count, 0) }
}

/** What a client needs that sends one call after another and keeps the limit: measured for a while, then multiplied. */
async function oneByOneSeconds(context: BenchContext, limits: RequestLimits): Promise<number> {
  await using sandbox = await startSandbox(context, { deals: DEALS, limits })
  // The portal drains in steps of a second, so a careful client stays one step below the limit.
  const burst = limits.capacity - limits.drainPerSecond
  const first = await postSerially(sandbox.webhook, burst, 0)
  const paces = 20
  const steady = await postSerially(sandbox.webhook, paces + 1, 1000 / limits.drainPerSecond)
  return first + (steady / paces) * (COMMANDS - burst)
}
