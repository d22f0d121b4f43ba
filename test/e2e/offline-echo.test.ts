import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import type { JsonObject } from '../../src/model/json.ts'
import { eventually } from '../conformance/broker.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { bindOffline, changeDeals, nudge } from '../support/offline.ts'

/** What a system does that keeps its copy in step: it hears of a change and writes its own version. */
async function mirror(bench: EventBench, seen: Set<string>): Promise<number> {
  const fresh = bench.consumed.filter(({ body }) => body.kind === 'offline' && !seen.has(body.key))
  for (const { body } of fresh) {
    seen.add(body.key)
    await update(bench, body.data.FIELDS.ID)
  }
  return fresh.length
}

let writes = 0

async function update({ env, tool, memberId }: EventBench, id: number): Promise<void> {
  const command: JsonObject = {
    portal: memberId,
    action: 'call',
    method: 'crm.deal.update',
    params: { id, fields: { TITLE: `mirrored ${++writes}` } },
  }
  const address = { exchange: '', routingKey: env.BRIDGE_COMMAND_QUEUE as string }
  await tool.publish(address, { body: Buffer.from(JSON.stringify(command)), headers: {} })
}

async function written({ sandbox }: EventBench): Promise<number> {
  return sandbox.stats(undefined, true).log?.filter(({ method }) => method === 'crm.deal.update').length ?? 0
}

async function rounds(bench: EventBench, most: number): Promise<number> {
  const seen = new Set<string>()
  await changeDeals(bench, 7)
  await nudge(bench)
  let heard = 0
  for (let quiet = 0; quiet < 30 && heard < most; quiet++) {
    const fresh = await mirror(bench, seen)
    heard += fresh
    if (fresh > 0) quiet = 0
    // Longer than the pause between two looks, thirty times.
    await sleep(200)
  }
  await eventually(async () => expect(await written(bench)).toBe(heard))
  return heard
}

const ENV = { BRIDGE_OFFLINE_POLL: '1', BRIDGE_OFFLINE_IDLE_POLL: '1' }

it('writes under a connector come back to no handler of that connector, so that a mirror settles by itself', async () => {
  const bench = await openEventBench({ env: { ...ENV, BRIDGE_AUTH_CONNECTOR: 'mirror' } })
  await bindOffline(bench, 'mirror')
  expect(await rounds(bench, 5)).toBe(1)
}, 60_000)

it('writes under another name than the handler do come back, and a mirror goes on for ever', async () => {
  const bench = await openEventBench({ env: ENV })
  await bindOffline(bench, 'mirror')
  expect(await rounds(bench, 4)).toBeGreaterThanOrEqual(4)
}, 60_000)

it('where the plan has no connectors, writes go without one, and the log says so once', async () => {
  const bench = await openEventBench({ env: { ...ENV, BRIDGE_AUTH_CONNECTOR: 'mirror' } })
  bench.sandbox.change({ features: { rest_auth_connector: false } })
  for (let id = 1; id <= 20; id++) await update(bench, id)
  await eventually(async () => expect(await written(bench)).toBe(20))
  expect(bench.logs().split('portal.no-connector')).toHaveLength(2)
})
