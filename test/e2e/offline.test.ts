import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { BrokerKind } from '../support/bridge.ts'
import { amqpUrl } from '../support/engines.ts'
import { openEventBench } from '../support/events.ts'
import { asApplication, bindOffline, changeDeals, drained, nudge, rowCounts } from '../support/offline.ts'

const ENV = { BRIDGE_OFFLINE_POLL: '1', BRIDGE_OFFLINE_IDLE_POLL: '1' }
const BROKERS: readonly { kind: BrokerKind; skip: boolean }[] = [
  { kind: 'embedded', skip: false },
  { kind: 'amqp', skip: amqpUrl === undefined },
]

for (const { kind, skip } of BROKERS) {
  describe.skipIf(skip)(`offline events on ${kind}`, () => {
    it('are fetched when the portal calls, published once, and cleared after that', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      await bindOffline(bench)
      await changeDeals(bench, 7)
      await nudge(bench)
      const [event] = await bench.events('ONCRMDEALUPDATE')
      expect(event?.routingKey).toBe(`offline.${bench.memberId}.oncrmdealupdate`)
      expect(event?.body).toMatchObject({
        kind: 'offline',
        portal: { member_id: bench.memberId, domain: bench.sandbox.identity().domain },
        application: 'local.events',
        data: { FIELDS: { ID: 7 } },
        actor: { user_id: '1' },
        key: event?.message.messageId,
      })
      await drained(bench)
      expect(rowCounts(bench)).toMatchObject({ queued: 1, cleared: 1, lost: 0 })
      expect(await bench.events('ONCRMDEALUPDATE')).toHaveLength(1)
    })

    it('are fetched in the order in which the portal saw them, 3,000 in a handful of requests', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      await bindOffline(bench, '', 'ONCRMDEALADD')
      await bench.sandbox.changeData({ do: 'add', entity: 'deal', count: 3000, oneHit: true })
      const before = bench.sandbox.stats().requests
      await nudge(bench)
      await drained(bench)
      const ids = (await bench.events('ONCRMDEALADD', 3000)).map(({ body }) => body.data.FIELDS.ID as number)
      expect(ids).toEqual([...ids].sort((a, b) => a - b))
      expect(new Set(ids).size).toBe(3000)
      expect(ids).toHaveLength(3000)
      // 60 reads and 60 removals are 120 calls; one request finds the handlers, one looks, one looks again.
      expect(bench.sandbox.stats().requests - before).toBeLessThanOrEqual(7)
      expect(rowCounts(bench)).toMatchObject({ queued: 3000, cleared: 3000, lost: 0 })
    })
  })
}

describe('offline events', () => {
  it('are found without a call, in the queue of each connector, under the name of the connector', async () => {
    const bench = await openEventBench({ env: ENV })
    await bindOffline(bench)
    await bindOffline(bench, 'erp')
    await nudge(bench)
    await changeDeals(bench, 7, 3)
    const events = await bench.events('ONCRMDEALUPDATE', 6)
    await drained(bench)
    expect(events.map(({ body }) => body.data.FIELDS.ID).sort()).toEqual([7, 7, 8, 8, 9, 9])
    expect(new Set(events.map(({ body }) => body.key)).size).toBe(6)
    expect(rowCounts(bench)).toMatchObject({ queued: 6, cleared: 6, lost: 0 })
  })

  it('are all fetched although the portal calls once for ten changes, and not again when its pause is over', async () => {
    // Neither looks nor push messages help here.
    const env = { BRIDGE_OFFLINE_POLL: '3600', BRIDGE_OFFLINE_IDLE_POLL: '3600', BRIDGE_PUSH: 'false' }
    const bench = await openEventBench({ env })
    await bindOffline(bench)
    const handler = new URL(bench.handler(), bench.service.url).href
    const nudges = { event: 'ONOFFLINEEVENT', handler, options: { minTimeout: 5 } }
    expect((await asApplication(bench, 'event.bind', nudges)).result).toBe(true)
    for (let id = 1; id <= 10; id++) {
      await changeDeals(bench, id)
      await sleep(80) // The changes are to be spread over a second, as they are by people.
    }
    const events = await bench.events('ONCRMDEALUPDATE', 10)
    expect(events.map(({ body }) => body.data.FIELDS.ID as number).sort((a, b) => a - b)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
    ])
    await drained(bench)
    expect(bench.sandbox.stats().events.ONOFFLINEEVENT).toEqual({ delivered: 1, refused: 0, lost: 0 })
  })

  it('that an earlier reader left reserved are fetched too', async () => {
    const bench = await openEventBench({ env: ENV })
    await bindOffline(bench)
    await changeDeals(bench, 1, 80)
    await asApplication(bench, 'event.offline.get', { clear: 0, limit: 80 })
    await changeDeals(bench, 1, 5)
    await nudge(bench)
    await drained(bench)
    const events = await bench.events('ONCRMDEALUPDATE', 85)
    expect(events).toHaveLength(85)
    expect(bench.logs()).toContain('offline.adopted')
    expect(rowCounts(bench)).toMatchObject({ cleared: 85, lost: 0 })
  })

  it.each([
    ['the connection is reset after the portal reserved', 'reset-after', 'event.offline.get'],
    ['the answer is cut', 'truncate', 'event.offline.get'],
    ['the connection is reset after the portal cleared', 'reset-after', 'event.offline.clear'],
    ['the portal answers with a web page', 'html', undefined],
  ] as const)('are neither lost nor left when %s', async (_, fault, method) => {
    const bench = await openEventBench({ env: ENV })
    await bindOffline(bench)
    await nudge(bench)
    await changeDeals(bench, 1, 120)
    bench.sandbox.fault([{ kind: fault, ...(method === undefined ? {} : { match: { method } }), times: 2 }])
    await nudge(bench)
    await drained(bench)
    const events = await bench.events('ONCRMDEALUPDATE', 120)
    expect(new Set(events.map(({ body }) => body.data.FIELDS.ID)).size).toBe(120)
    expect(rowCounts(bench)).toMatchObject({ queued: 120, cleared: 120, lost: 0 })
  })

  it('that were hidden are fetched when somebody has taken them out of hiding', async () => {
    const bench = await openEventBench({ env: ENV })
    await bindOffline(bench)
    await changeDeals(bench, 7, 2)
    const { result } = await asApplication(bench, 'event.offline.get', { clear: 0 })
    const messages = { process_id: result.process_id, message_id: [result.events[0].MESSAGE_ID] }
    await asApplication(bench, 'event.offline.error', messages)
    await nudge(bench)
    expect((await bench.events('ONCRMDEALUPDATE')).map(({ body }) => body.data.FIELDS.ID)).toEqual([8])
    await asApplication(bench, 'event.offline.get', { clear: 0, error: 1 })
    await nudge(bench)
    await drained(bench)
    const events = await bench.events('ONCRMDEALUPDATE', 2)
    expect(events.map(({ body }) => body.data.FIELDS.ID)).toEqual([8, 7])
    expect(rowCounts(bench)).toMatchObject({ queued: 2, cleared: 2, lost: 0 })
  })

  describe('of a portal whose plan does not reserve', () => {
    it('are published before they are removed', async () => {
      const bench = await openEventBench({ env: ENV })
      bench.sandbox.change({ features: { rest_offline_extended: false } })
      await bindOffline(bench)
      await changeDeals(bench, 1, 120)
      await nudge(bench)
      await drained(bench, 30_000)
      const events = await bench.events('ONCRMDEALUPDATE', 120)
      expect(events).toHaveLength(120)
      expect(rowCounts(bench)).toMatchObject({ queued: 120, cleared: 120, lost: 0 })
    })

    it('survive a lost answer, because only what is published is removed', async () => {
      const bench = await openEventBench({ env: ENV })
      bench.sandbox.change({ features: { rest_offline_extended: false } })
      await bindOffline(bench)
      await changeDeals(bench, 1, 60)
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'event.offline.get', nth: 2 }, times: 2 }])
      await nudge(bench)
      await drained(bench, 30_000)
      const events = await bench.events('ONCRMDEALUPDATE', 60)
      expect(new Set(events.map(({ body }) => body.data.FIELDS.ID)).size).toBe(60)
    })
  })
})
