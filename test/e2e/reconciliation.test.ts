import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { amqpUrl } from '../support/engines.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { asApplication } from '../support/offline.ts'

const BROKERS = [
  { kind: 'embedded', skip: false },
  { kind: 'amqp', skip: amqpUrl === undefined },
] as const

async function bind(bench: EventBench, ...events: readonly string[]): Promise<void> {
  for (const event of events) {
    const handler = `${bench.service.url}/b24/events`
    const { result } = await asApplication(bench, 'event.bind', { event, handler })
    expect(result).toBe(true)
  }
}

/** So many looks are over, those of earlier processes included. */
async function looked(bench: EventBench, more: number): Promise<void> {
  const count = (): number => bench.logs().split('"scan.done"').length
  const before = count()
  await eventually(() => expect(count()).toBeGreaterThanOrEqual(before + more), 15_000)
}

for (const { kind, skip } of BROKERS) {
  describe.skipIf(skip)(`events that were lost, on ${kind}`, () => {
    it('are found when the bridge is back, and those that arrived are not told again', async () => {
      const bench = await openEventBench({
        broker: kind,
        env: { BRIDGE_SCAN: '0.02', BRIDGE_SCAN_SETTLE: '1' },
      })
      await bind(bench, 'ONCRMDEALUPDATE', 'ONCRMDEALADD')
      await looked(bench, 1)
      await bench.sandbox.changeData({ do: 'change', entity: 'deal', id: 5 })
      await bench.events('ONCRMDEALUPDATE')
      await looked(bench, 2)
      await bench.service.stop()
      await bench.sandbox.changeData({ do: 'change', entity: 'deal', id: 7 })
      const { ids } = await bench.sandbox.changeData({ do: 'add', entity: 'deal', fields: { TITLE: 'Lost' } })
      await bench.start()
      const [added] = await bench.events('ONCRMDEALADD')
      await looked(bench, 3)
      expect(added?.body).toMatchObject({
        kind: 'event',
        synthetic: true,
        portal: { member_id: bench.memberId },
        data: { FIELDS: { ID: String(ids[0]) } },
        key: added?.message.messageId,
      })
      const updates = bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALUPDATE')
      expect(updates.map(({ body }) => [Number(body.data.FIELDS.ID), body.synthetic])).toEqual([
        [5, false],
        [7, true],
      ])
      expect(bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALADD')).toHaveLength(1)
    }, 60_000)
  })
}
