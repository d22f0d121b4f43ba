import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { bindOffline, changeDeals, drained, nudge } from '../support/offline.ts'

const skip = amqpUrl === undefined

async function counted(bench: EventBench, result: string): Promise<number> {
  const text = await (await fetch(`${bench.service.url}/metrics`)).text()
  return Number(new RegExp(`^b24_events_received_total{result="${result}"} (\\d+)`, 'm').exec(text)?.[1] ?? 0)
}

async function openBehindProxy(env: Record<string, string> = {}) {
  const proxy = await BadProxy.open(amqpUrl!)
  const bench = await openEventBench({ broker: 'amqp', brokerUrl: proxy.url, env })
  return {
    bench,
    proxy,
    away() {
      proxy.refuse = true
      proxy.reset()
    },
  }
}

it.skipIf(skip)(
  `without broker and store a portal gets 503, the event counts as lost, and what the portal kept is fetched${amqpNote}`,
  async () => {
    const { bench, proxy, away } = await openBehindProxy()
    await bindOffline(bench)
    // The handlers are known, and the next look by itself is a minute away.
    await nudge(bench)
    await eventually(async () => {
      const pumps = await bench.store.db.selectFrom('offline_pumps').selectAll().execute()
      expect(pumps.map(({ idle_polls: polls }) => polls > 0)).toEqual([true])
    })
    await changeDeals(bench, 7)
    const rename = (from: string, to: string) =>
      sql`alter table ${sql.table(from)} rename to ${sql.table(to)}`.execute(bench.store.db)
    await rename('event_spool', 'event_spool_away')
    away()
    const before = await counted(bench, 'spooled')
    const answer = await bench.post(bench.deal(1))
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.text)).toMatchObject({ error: expect.stringMatching(/not_kept/i) })
    await eventually(async () => expect(await counted(bench, 'lost')).toBe(1))
    await rename('event_spool_away', 'event_spool')
    expect((await bench.post(bench.deal(2))).status, 'with the store alone').toBe(200)
    proxy.refuse = false
    await drained(bench, 40_000)
    await eventually(() => expect(bench.deals().sort()).toEqual([2, 7]), 10_000)
    expect(await counted(bench, 'lost')).toBe(1)
    expect(await counted(bench, 'spooled')).toBe(before + 1)
    await proxy.close()
  },
  90_000,
)

it.skipIf(skip)(
  `keeps as many events as it may while the broker is away, and says aloud that it keeps no more${amqpNote}`,
  async () => {
    const { bench, proxy, away } = await openBehindProxy({ BRIDGE_EVENTS_SPOOL_MAX: '5' })
    away()
    const statuses: number[] = []
    for (let id = 1; id <= 8; id++) statuses.push((await bench.post(bench.deal(id))).status)
    expect(statuses).toEqual([200, 200, 200, 200, 200, 503, 503, 503])
    expect(await counted(bench, 'lost')).toBe(3)
    expect(bench.logs().match(/"event\.spool-full"/g)).toHaveLength(1)
    proxy.refuse = false
    await eventually(() => expect(bench.deals()).toEqual([1, 2, 3, 4, 5]), 20_000)
    await eventually(async () => expect((await bench.post(bench.deal(9))).status).toBe(200))
    await eventually(() => expect(bench.deals()).toEqual([1, 2, 3, 4, 5, 9]), 10_000)
    await proxy.close()
  },
  60_000,
)
