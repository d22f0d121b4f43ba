import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createArrivals } from '../../../../src/bridge/events/scan/arrivals.ts'
import { scanEntity } from '../../../../src/bridge/events/scan/entities.ts'
import { createScans, type ScansOptions } from '../../../../src/bridge/events/scan/scans.ts'
import type { ScanStore } from '../../../../src/bridge/events/scan/store.ts'
import { createLanes } from '../../../../src/bridge/lanes.ts'
import { createTransport } from '../../../../src/client/transport.ts'
import { StoreError } from '../../../../src/model/errors.ts'
import type { PortalEvent } from '../../../../src/model/event.ts'
import { parseWebhook, webhookCredential } from '../../../../src/model/webhook.ts'
import { createSandbox, type Sandbox } from '../../../../src/sandbox/index.ts'
import { openStore } from '../../../../src/stores/open.ts'
import { addApplicationToken } from '../../../../src/stores/queries/application-tokens.ts'
import { savePortal } from '../../../../src/stores/queries/portals.ts'
import { scanRecords } from '../../../../src/stores/scans.ts'
import { openSealer } from '../../../../src/stores/seal.ts'
import { openSecrets } from '../../../../src/stores/secrets.ts'
import { eventually } from '../../../conformance/broker.ts'
import { createFor, DATABASES, type TestDatabase } from '../../../support/databases.ts'

const SECRET_KEY = `k1:${Buffer.alloc(32, 7).toString('base64')}`

interface Looking {
  readonly scans: ReturnType<typeof createScans>
  readonly arrivals: ReturnType<typeof createArrivals>
  readonly kept: PortalEvent[]
  readonly logged: (event: string) => number
  readonly close: () => Promise<void>
}

interface Place {
  readonly sandbox: Sandbox
  readonly memberId: string
  /** A process that looks; it is closed with the test. */
  look(more?: Partial<ScansOptions> & { readonly spoil?: (store: ScanStore) => ScanStore }): Promise<Looking>
  /** Every process has looked once more. */
  again(looking: Looking): Promise<void>
}

async function openPlace(database: TestDatabase): Promise<Place> {
  const { url } = await createFor(database)
  const sandbox = await createSandbox({ limits: 'off', deals: 30, tasks: 10 })
  onTestFinished(() => sandbox.close())
  const { memberId, domain, clientEndpoint } = sandbox.identity()
  let count = 0
  const store = await openStore(url, { now: Date.now })
  onTestFinished(() => store.close())
  const secrets = await openSecrets(store.db, openSealer({ keys: SECRET_KEY }), Date.now)
  await savePortal(store.db, { memberId, domain, clientEndpoint }, Date.now())
  await addApplicationToken(store.db, secrets, { memberId, label: 'test', token: 'secret-token' }, Date.now())
  const credential = webhookCredential(parseWebhook(sandbox.webhookUrl))
  const place: Place = {
    sandbox,
    memberId,
    async look({ spoil = (records: ScanStore) => records, ...more } = {}) {
      const own = store.features.shared ? await openStore(url, { now: Date.now }) : store
      const transport = createTransport()
      const lanes = createLanes({ lane: { transport, limit: null }, now: Date.now })
      const records = spoil(scanRecords(own.db, Date.now))
      const kept: PortalEvent[] = []
      const lines: string[] = []
      const log = (event: string): void => void lines.push(event)
      const entities = ['crm.deal', 'crm.contact', 'tasks.task'].map((name) => scanEntity(name)!)
      const arrivals = createArrivals({
        store: records,
        entities: new Set(entities.map(({ name }) => name)),
        flushMs: 100,
        log,
      })
      const scans = createScans({
        store: records,
        arrivals,
        outlet: {
          async keep(event) {
            kept.push(event)
            return 'published'
          },
        },
        portals: { find: async () => lanes.open(credential) },
        entities,
        everyMs: 300,
        settleMs: 1000,
        owner: `process ${++count}`,
        now: Date.now,
        random: Math.random,
        tickMs: 50,
        onScanned: () => undefined,
        log,
        ...more,
      })
      let closed: Promise<void> | undefined
      const close = (): Promise<void> => {
        closed ??= (async () => {
          await scans.close()
          await arrivals.close()
          await lanes.close(0)
          await transport.close()
          if (own !== store) await own.close()
        })()
        return closed
      }
      onTestFinished(close)
      scans.start()
      return {
        scans,
        arrivals,
        kept,
        close,
        logged: (event) => lines.filter((line) => line === event).length,
      }
    },
    async again(looking) {
      const before = looking.logged('scan.done')
      await eventually(() => expect(looking.logged('scan.done')).toBeGreaterThan(before), 10_000)
    },
  }
  return place
}

const names = (events: readonly PortalEvent[]): string[] =>
  events.map(({ event, data }) => `${event} ${JSON.stringify(data)}`).sort()

for (const database of DATABASES) {
  describe.skipIf(database.skip)(
    `looking for events that never arrived, ${database.name}${database.note}`,
    () => {
      it('tells of what was changed and made since it first looked, once, and of nothing before', async () => {
        const place = await openPlace(database)
        const looking = await place.look()
        await place.again(looking)
        await sleep(1000)
        await place.sandbox.changeData({ do: 'change', entity: 'deal', id: 7 })
        await place.sandbox.changeData({ do: 'add', entity: 'contact', fields: { NAME: 'New' } })
        await place.sandbox.changeData({ do: 'change', entity: 'task', id: 3 })
        await eventually(() => expect(looking.kept).toHaveLength(3), 10_000)
        await place.again(looking)
        await place.again(looking)
        expect(names(looking.kept)).toEqual([
          'ONCRMCONTACTADD {"FIELDS":{"ID":"101"}}',
          'ONCRMDEALUPDATE {"FIELDS":{"ID":"7"}}',
          expect.stringContaining('ONTASKUPDATE {"FIELDS_BEFORE":{"ID":"3"},"FIELDS_AFTER":{"ID":"3"}'),
        ])
        for (const event of looking.kept)
          expect(event).toMatchObject({ kind: 'event', synthetic: true, memberId: place.memberId })
      }, 30_000)

      it('believes what another process has noted, and shares the work with it', async () => {
        const place = await openPlace(database)
        const [one, other] = [await place.look(), await place.look()]
        await eventually(
          () => expect(one.logged('scan.done') + other.logged('scan.done')).toBeGreaterThan(0),
          10_000,
        )
        await sleep(1000)
        await place.sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: 20 })
        const happenedAt = Math.floor(Date.now() / 1000) * 1000
        for (let id = 1; id <= 10; id++) {
          const teller = id % 2 === 0 ? one : other
          const about = { memberId: place.memberId, domain: '', event: 'ONCRMDEALUPDATE', key: String(id) }
          const data = { FIELDS: { ID: String(id) } }
          teller.arrivals.note({
            ...about,
            kind: 'event',
            data,
            happenedAt: happenedAt + 1000,
            receivedAt: 0,
          })
        }
        const kept = (): PortalEvent[] => [...one.kept, ...other.kept]
        await eventually(() => expect(kept()).toHaveLength(10), 10_000)
        await place.again(one.logged('scan.done') > 0 ? one : other)
        expect(
          kept()
            .map(({ data }) => Number((data.FIELDS as { ID: string }).ID))
            .sort((a, b) => a - b),
        ).toEqual([11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
      }, 30_000)

      it('tells the same under the same keys when a process dies before it wrote how far it came', async () => {
        const place = await openPlace(database)
        const first = await place.look()
        await place.again(first)
        await first.close()
        await sleep(1000)
        await place.sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: 5 })
        const away = async (): Promise<never> => {
          throw new StoreError('STORE_AWAY', 'gone')
        }
        const second = await place.look({
          everyMs: 300,
          spoil: (store) => ({ ...store, saveCursor: away, note: away }),
        })
        await eventually(() => expect(second.kept.length).toBeGreaterThanOrEqual(5), 10_000)
        await second.close()
        const third = await place.look()
        await eventually(() => expect(third.kept).toHaveLength(5), 10_000)
        await place.again(third)
        const keys = (events: readonly PortalEvent[]): string[] =>
          [...new Set(events.map(({ key }) => key))].sort()
        expect(third.kept).toHaveLength(5)
        expect(keys(second.kept)).toEqual(keys(third.kept))
      }, 40_000)

      it('looks soon when an event was lost, not at the next regular time', async () => {
        const place = await openPlace(database)
        const looking = await place.look({ everyMs: 3_600_000, random: () => 0 })
        await place.again(looking)
        await place.sandbox.changeData({ do: 'change', entity: 'deal', id: 9 })
        looking.scans.lost(place.memberId)
        await eventually(
          () => expect(names(looking.kept)).toEqual(['ONCRMDEALUPDATE {"FIELDS":{"ID":"9"}}']),
          15_000,
        )
      }, 30_000)
    },
  )
}

it('looks at the others when the portal refuses to list one kind', async () => {
  const place = await openPlace(DATABASES[0]!)
  place.sandbox.change({ scopes: { s3cr3t: ['crm'] } })
  const looking = await place.look()
  await place.again(looking)
  await sleep(1000)
  await place.sandbox.changeData({ do: 'change', entity: 'deal', id: 2 })
  await place.sandbox.changeData({ do: 'change', entity: 'task', id: 2 })
  await eventually(
    () => expect(names(looking.kept)).toEqual(['ONCRMDEALUPDATE {"FIELDS":{"ID":"2"}}']),
    10_000,
  )
  expect(looking.logged('scan.refused')).toBe(1)
}, 30_000)

it('walks through more changes than a page holds, each once', async () => {
  const place = await openPlace(DATABASES[0]!)
  const looking = await place.look()
  await place.again(looking)
  await sleep(1000)
  const { ids } = await place.sandbox.changeData({ do: 'add', entity: 'deal', count: 333 })
  await eventually(() => expect(looking.kept).toHaveLength(333), 20_000)
  await place.again(looking)
  expect(
    looking.kept.map(({ data }) => Number((data.FIELDS as { ID: string }).ID)).sort((a, b) => a - b),
  ).toEqual([...ids])
  expect(new Set(looking.kept.map(({ event }) => event))).toEqual(new Set(['ONCRMDEALADD']))
}, 40_000)

it('costs two requests a look where nothing was changed, however many kinds it is about', async () => {
  const place = await openPlace(DATABASES[0]!)
  const looking = await place.look({ everyMs: 1200 })
  for (let look = 0; look < 4; look++) await place.again(looking)
  await looking.close()
  const { requests, commands } = place.sandbox.stats()
  const looks = commands['server.time'] ?? 0
  expect(commands['tasks.task.list']).toBeGreaterThanOrEqual(1)
  expect(commands['crm.deal.list']).toBe(commands['tasks.task.list'])
  expect(requests).toBe(looks + (commands['crm.deal.list'] ?? 0))
}, 30_000)
