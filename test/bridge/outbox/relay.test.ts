import { sql } from 'kysely'
import { expect, it, onTestFinished } from 'vitest'
import { createLedger } from '../../../src/bridge/commands/ledger.ts'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { createOutboxRelay, type OutboxRelay } from '../../../src/bridge/outbox/relay.ts'
import type { OutboxStore } from '../../../src/bridge/outbox/store.ts'
import type { Portal } from '../../../src/bridge/portals.ts'
import { CommandError, StoreError } from '../../../src/model/errors.ts'
import { ledgerQueries } from '../../../src/stores/bound.ts'
import { openStore } from '../../../src/stores/open.ts'
import { outboxQueries } from '../../../src/stores/outbox.ts'
import { endTrial, tryAlone } from '../../../src/stores/queries/trials.ts'
import type { Store } from '../../../src/stores/store.ts'
import { stopwatchBy } from '../../../src/util/stopwatch.ts'
import { eventually } from '../../conformance/broker.ts'

/** A lease that ends while one waits for it. */
const LEASE_MS = 300

interface Bench {
  readonly store: Store
  readonly relay: OutboxRelay
  /** Portals of rows whose carrying out has begun. */
  readonly begun: string[]
  insert(portal: string, attempts?: number): Promise<void>
  rows(): Promise<readonly { portal: string; state: string; attempts: number }[]>
}

/**
 * A relay on a store. Rows of the portal `slow` never end; those of `rest` cannot be carried out now; all others fail at
 * once, which is an end too.
 */
async function open(
  store: Store,
  change: (whole: OutboxStore) => Partial<OutboxStore> = () => ({}),
): Promise<Bench> {
  const { db } = store
  const begun: string[] = []
  const owner = `relay-${Math.random()}`
  const whole = outboxQueries(store, owner)
  const relay = createOutboxRelay({
    store: { ...whole, ...change(whole) },
    suspects: {
      begin: (id, at) => tryAlone(db, { id, owner, now: at }),
      end: (id) => endTrial(db, id, owner),
    },
    contract: createNativeContract(),
    ledger: createLedger(ledgerQueries(store).store, {
      now: Date.now,
      quietMs: 1000,
      shared: false,
      startStopwatch: stopwatchBy(Date.now),
    }),
    portals: {
      async find({ portal = '' }) {
        begun.push(portal)
        if (portal.startsWith('slow')) return new Promise<Portal>(() => {})
        if (portal.startsWith('rest')) throw new StoreError('STORE_UNREACHABLE', 'away')
        throw new CommandError('PORTAL_UNKNOWN', 'No such portal')
      },
    },
    rules: { secrets: [], privateHosts: [] },
    source: 'outbox',
    maxReplyBytes: 1_000_000,
    quietMs: 1000,
    pollMs: 20,
    leaseMs: LEASE_MS,
    now: Date.now,
    newId: () => 'id',
    log: () => undefined,
    onEnd: () => undefined,
    onCallback: () => undefined,
  })
  onTestFinished(async () => void (await relay.close(0)))
  return {
    store,
    relay,
    begun,
    async insert(portal, attempts = 0) {
      await sql`insert into b24_outbox (method, portal, attempts)
        values ('crm.deal.get', ${portal}, ${attempts})`.execute(db)
    },
    async rows() {
      const { rows } = await sql<{ portal: string; state: string; attempts: number }>`
        select portal, state, attempts from b24_outbox order by id`.execute(db)
      return rows
    },
  }
}

async function openMemory(): Promise<Store> {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  onTestFinished(() => store.close())
  return store
}

it('takes rows again whose taking it was not told of, however busy it is', async () => {
  let lost = 0
  const { relay, insert, rows } = await open(await openMemory(), (whole) => ({
    async take(take) {
      const taken = await whole.take(take)
      if (taken.some(({ portal }) => portal === 'other') && lost++ === 0)
        throw new StoreError('STORE_UNREACHABLE', 'the answer was lost')
      return taken
    },
  }))
  await insert('slow')
  relay.start()
  await eventually(() => expect(relay.inHand).toBe(1))
  await insert('other')
  await eventually(async () =>
    expect(await rows()).toEqual([
      { portal: 'slow', state: 'taken', attempts: 1 },
      { portal: 'other', state: 'failed', attempts: 2 },
    ]),
  )
  expect(lost).toBeGreaterThan(0)
})

it('takes a row again that it could not give back, and holds the ones in hand', async () => {
  let refused = 0
  const { relay, begun, insert, rows } = await open(await openMemory(), (whole) => ({
    async giveBack(ids, restMs) {
      if (refused++ === 0) throw new StoreError('STORE_UNREACHABLE', 'away')
      return whole.giveBack(ids, restMs)
    },
  }))
  await insert('slow')
  await insert('rest')
  relay.start()
  await eventually(() => expect(begun).toEqual(['slow', 'rest', 'rest']))
  await eventually(async () => expect((await rows())[1]).toMatchObject({ state: 'new', attempts: 1 }))
  expect((await rows())[0]).toMatchObject({ state: 'taken', attempts: 1 })
})

it('tries what was taken often apart, and lets all others pass', async () => {
  const { relay, begun, insert, rows } = await open(await openMemory())
  await insert('slow.often', 3)
  await insert('slow.often', 3)
  for (let i = 0; i < 60; i++) await insert('slow.twice', 2)
  await insert('other', 1)
  relay.start()
  await eventually(async () => expect((await rows()).at(-1)).toMatchObject({ state: 'failed' }))
  expect([...begun].sort()).toEqual(['other', 'slow.often'])
})

it('tries what was taken twice by the request, and goes on when that has ended', async () => {
  const { relay, begun, insert, rows } = await open(await openMemory())
  for (let i = 0; i < 60; i++) await insert(i === 7 ? 'slow.twice' : 'twice', 2)
  await insert('often', 3)
  relay.start()
  await eventually(() => expect(begun).toHaveLength(50))
  await eventually(async () => expect(relay.inHand).toBe(1))
  expect((await rows()).filter(({ state }) => state === 'new')).toHaveLength(11)
})

it('convicts a row only for processes that ended while it was tried alone', async () => {
  const store = await openMemory()
  const { relay, insert, rows } = await open(store)
  const createdAt = 1_700_000_000_000
  const note = { id: `outbox 2 ${createdAt}` }
  await insert('innocent', 7)
  await insert('poison', 5)
  await sql`update b24_outbox set created_at = ${createdAt}`.execute(store.db)
  for (const owner of ['dead one', 'dead two']) await tryAlone(store.db, { ...note, owner, now: createdAt })
  relay.start()
  await eventually(async () =>
    expect(await rows()).toMatchObject([{ state: 'failed' }, { state: 'dead', attempts: 6 }]),
  )
  expect(await store.db.selectFrom('trials').selectAll().execute()).toEqual([])
})
