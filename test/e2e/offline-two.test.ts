import { expect, it, onTestFinished } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { needsBuilt } from '../support/built.ts'
import { type Running, runBuilt } from '../support/built-service.ts'
import { DATABASES } from '../support/databases.ts'
import { amqpUrl } from '../support/engines.ts'
import { openEventBench } from '../support/events.ts'
import { bindOffline, drained, nudge, rowCounts } from '../support/offline.ts'

const database = DATABASES.find(({ name }) => name === 'PostgreSQL')!
const DEALS = 2000

needsBuilt()

it.skipIf(database.skip || amqpUrl === undefined)(
  `two services drain a queue once, and when the one at it is killed the other goes on${database.note}`,
  async () => {
    const { url, drop } = await database.create()
    onTestFinished(drop)
    const bench = await openEventBench({
      broker: 'amqp',
      storeUrl: url,
      env: { BRIDGE_OFFLINE_LIMIT: '5', BRIDGE_OFFLINE_POLL: '1', BRIDGE_OFFLINE_IDLE_POLL: '1' },
    })
    const { db } = bench.store
    await bindOffline(bench, '', 'ONCRMDEALADD')
    await nudge(bench)
    await eventually(async () =>
      expect(await db.selectFrom('offline_pumps').selectAll().execute()).toHaveLength(1),
    )
    await bench.service.stop()
    const add = (count: number) =>
      bench.sandbox.changeData({ do: 'add', entity: 'deal', count, oneHit: true }).then(({ ids }) => ids)
    const arrived = (): number[] => {
      const events = bench.consumed.filter(({ body }) => body.kind === 'offline')
      return [...new Map(events.map(({ body }) => [body.key, body.data.FIELDS.ID as number])).values()]
    }
    /** The owner of a lease has the process in its name. */
    const holder = async (): Promise<Running | undefined> => {
      const rows = await db.selectFrom('leases').select(['name', 'owner']).where('owner', '<>', '').execute()
      const owner = rows.find(({ name }) => name.startsWith('offline/'))?.owner
      return services.find(({ child }) => owner?.includes(`-${child.pid}-`))
    }

    const services = [await runBuilt(bench), await runBuilt(bench)]
    const ids = [...(await add(DEALS))]
    let killed: Running | undefined
    await eventually(async () => {
      killed = await holder()
      expect(killed).toBeDefined()
      expect(rowCounts(bench).cleared).toBeGreaterThan(0)
    }, 20_000)
    killed!.child.kill('SIGKILL')
    await killed!.exit
    const { queued, cleared } = rowCounts(bench)
    expect(queued - cleared, 'killed in the middle').toBeGreaterThan(0)
    const other = services.find((one) => one !== killed)!
    await eventually(async () => expect(await holder()).toBe(other), 30_000)
    ids.push(...(await add(50)))
    await drained(bench, 60_000)
    await eventually(() => expect(arrived().sort((a, b) => a - b)).toEqual([...ids].sort((a, b) => a - b)))
    expect(rowCounts(bench)).toMatchObject({ queued: ids.length, cleared: ids.length, lost: 0 })
    other.child.kill('SIGTERM')
    expect(await other.exit).toEqual([0, null])
  },
  180_000,
)
