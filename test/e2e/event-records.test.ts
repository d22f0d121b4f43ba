import { describe, expect, it } from 'vitest'
import { spoolSize } from '../../src/stores/queries/event-spool.ts'
import { eventually } from '../conformance/broker.ts'
import { amqpUrl } from '../support/engines.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { bindOffline, changeDeals, nudge } from '../support/offline.ts'

const ENV = { BRIDGE_EVENTS_RECORD: 'ONCRM*UPDATE,ONTASK*', BRIDGE_LIMITS: 'off' }
const BROKERS = [
  { kind: 'embedded', skip: false },
  { kind: 'amqp', skip: amqpUrl === undefined },
] as const

let ts = 1_800_000_000

async function post(bench: EventBench, event: string, id: number): Promise<void> {
  const form = { event, 'data[FIELDS][ID]': String(id), ts: String(++ts), ...bench.auth() }
  expect((await bench.post(form)).status).toBe(200)
}

const calls = (bench: EventBench, method: string): number => bench.sandbox.stats().commands[method] ?? 0

for (const { kind, skip } of BROKERS) {
  describe.skipIf(skip)(`events with their records, on ${kind}`, () => {
    it('are published with the record that they are about, where that was asked for', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      await post(bench, 'ONCRMDEALUPDATE', 7)
      await post(bench, 'ONCRMDEALADD', 8)
      await post(bench, 'ONCRMDEALDELETE', 9)
      const [update] = await bench.events('ONCRMDEALUPDATE')
      expect(update?.body.record).toMatchObject({ ID: '7', TITLE: 'Deal 7' })
      for (const name of ['ONCRMDEALADD', 'ONCRMDEALDELETE'])
        expect((await bench.events(name))[0]?.body).not.toHaveProperty('record')
      await eventually(async () => expect((await spoolSize(bench.store.db)).count).toBe(0))
    })

    it('keep their order, and many of one object cost one call', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      await bench.service.stop()
      bench.sandbox.change({ latencyMs: 300 })
      await bench.start()
      const before = bench.sandbox.stats().requests
      const ids = Array.from({ length: 60 }, (_, index) => 1 + (index % 6))
      for (const id of ids) await post(bench, 'ONCRMDEALUPDATE', id)
      const events = await bench.events('ONCRMDEALUPDATE', 60)
      expect(events.map(({ body }) => Number(body.data.FIELDS.ID))).toEqual(ids)
      for (const { body } of events) expect(body.record.ID).toBe(body.data.FIELDS.ID)
      expect(calls(bench, 'crm.deal.get')).toBeLessThan(60)
      expect(bench.sandbox.stats().requests - before).toBeLessThan(30)
    }, 40_000)

    it('go without a record, and say why, when there is none or the portal does not answer in time', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      await post(bench, 'ONCRMDEALUPDATE', 99_999)
      const [gone] = await bench.events('ONCRMDEALUPDATE')
      expect(gone?.body).toMatchObject({ record_error: 'RECORD_MISSING' })
      expect(gone?.body).not.toHaveProperty('record')
      bench.sandbox.fault([{ kind: 'hang', match: { method: 'crm.deal.get' }, times: 0 }])
      await post(bench, 'ONCRMDEALUPDATE', 3)
      const [, late] = await bench.events('ONCRMDEALUPDATE', 2)
      expect(late?.body).toMatchObject({ data: { FIELDS: { ID: '3' } }, record_error: 'RECORD_LATE' })
    }, 40_000)

    it('are answered at once and survive the end of the process before their records are read', async () => {
      const bench = await openEventBench({ broker: kind, env: ENV })
      bench.sandbox.fault([{ kind: 'hang', match: { method: 'crm.deal.get' }, times: 0 }])
      for (const id of [4, 5, 6]) await post(bench, 'ONCRMDEALUPDATE', id)
      expect(bench.deals()).toEqual([])
      expect((await spoolSize(bench.store.db)).count).toBe(3)
      const stopped = bench.service.stop()
      bench.sandbox.fault([])
      await stopped
      await bench.start()
      await bench.events('ONCRMDEALUPDATE', 3)
      expect(bench.deals()).toEqual([4, 5, 6])
    }, 40_000)

    it('of offline queues have theirs too', async () => {
      const bench = await openEventBench({ broker: kind, env: { ...ENV, BRIDGE_OFFLINE_POLL: '1' } })
      await bindOffline(bench)
      await changeDeals(bench, 7, 3)
      await nudge(bench)
      const events = await bench.events('ONCRMDEALUPDATE', 3)
      expect(events.map(({ body }) => [body.kind, body.record.ID])).toEqual([
        ['offline', '7'],
        ['offline', '8'],
        ['offline', '9'],
      ])
    })
  })
}
