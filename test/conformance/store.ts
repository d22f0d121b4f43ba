import { type Kysely, sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { MIGRATIONS, migrate } from '../../src/stores/migrate.ts'
import { openStore } from '../../src/stores/open.ts'
import { loadBuckets, saveBucket } from '../../src/stores/queries/buckets.ts'
import { forgetInstance, seeInstance } from '../../src/stores/queries/instances.ts'
import {
  findLedgerEntries,
  forget,
  markAgain,
  markAnew,
  markConcluded,
  markDone,
  markStarted,
  pruneLedger,
} from '../../src/stores/queries/ledger.ts'
import {
  beginTrial,
  crowdTrial,
  endTrial,
  endTrials,
  findTrial,
  pruneTrials,
} from '../../src/stores/queries/trials.ts'
import type { Store } from '../../src/stores/store.ts'
import { createFor, type TestDatabase } from '../support/databases.ts'

const now = Date.now

/** What every database does, as `src/stores/store.ts` and the queries promise it. */
export function storeConformance(database: TestDatabase): void {
  describe.skipIf(database.skip)(`a store on ${database.name}${database.note}`, () => {
    let place: Awaited<ReturnType<TestDatabase['create']>>
    let store: Store

    beforeAll(async () => {
      place = await database.create()
      store = await openStore(place.url, { now })
    })
    afterAll(async () => {
      await store.close()
      await place.drop()
    })
    const another = () => openStore(place.url, { now, exclusive: false })

    describe('migrations', () => {
      it('run once, in order, also when several processes start together', async () => {
        const fresh = await createFor(database)
        const opened = await Promise.all(
          Array.from({ length: 4 }, () => openStore(fresh.url, { now, exclusive: false })),
        )
        expect(await schemaNumbers(opened[0]!)).toEqual(MIGRATIONS.map((migration) => migration.id))
        for (const one of opened) await one.close()
      })

      it('carry on after a step that was cut short', async () => {
        const fresh = await createFor(database)
        const opened = await openStore(fresh.url, { now })
        const db = opened.db as unknown as Kysely<unknown>
        let broken = true
        const steps = [
          ...MIGRATIONS,
          {
            id: MIGRATIONS.at(-1)!.id + 1,
            name: 'half',
            async up(one: Kysely<unknown>) {
              if (broken) throw new Error('power cut')
              await sql`create table half (id integer)`.execute(one)
            },
          },
        ]
        await expect(migrate(db, now, steps)).rejects.toThrow('power cut')
        broken = false
        await Promise.all([migrate(db, now, steps), migrate(db, now, steps)])
        await sql`select * from half`.execute(db)
        await opened.close()
      })

      it('can be repeated where nothing can be taken back', async () => {
        const fresh = await createFor(database)
        const opened = await openStore(fresh.url, { now })
        const db = opened.db as unknown as Kysely<unknown>
        if (!db.getExecutor().adapter.supportsTransactionalDdl) {
          await sql`delete from schema_migrations`.execute(db)
          await migrate(db, now)
          expect(await schemaNumbers(opened)).toEqual(MIGRATIONS.map((migration) => migration.id))
        }
        await opened.close()
      })

      it('stop a program that is older than the store', async () => {
        const fresh = await createFor(database)
        const newer = await openStore(fresh.url, { now })
        await sql`insert into schema_migrations (id, name, applied_at) values (999, 'from-the-future', 0)`.execute(
          newer.db,
        )
        await newer.close()
        await expect(openStore(fresh.url, { now })).rejects.toMatchObject({
          code: 'SCHEMA_NEWER',
          message: expect.stringContaining('999'),
          hint: expect.any(String),
        })
      })
    })

    describe('the ledger', () => {
      const row = (key: string, startedAt = 1000) => ({
        key,
        requestHash: hashOf(key),
        startedAt,
        claim: 'word',
      })
      const hashOf = (key: string) => `hash of ${key.slice(0, 50).replace('\0', '')}`
      const begun = (keys: readonly string[]) => keys.map((key) => ({ key, since: 1000 }))
      const done = (key: string, reply = '{}') => {
        const { claim, ...rest } = row(key)
        return { ...rest, finishedAt: 2000, reply, ran: true }
      }

      it('says which commands are new, and leaves the others as they were', async () => {
        expect(await markStarted(store.db, [row('a'), row('b')])).toEqual(new Set(['a', 'b']))
        await markDone(store.db, [done('a', '{"id":7,"text":"Привет 👋"}')])
        const again = await markStarted(store.db, [row('a', 5000), row('c', 5000), row('b', 5000), row('c')])
        expect(again).toEqual(new Set(['c']))
        expect(await markStarted(store.db, [row('a'), row('b')])).toEqual(new Set())
        const entries = await findLedgerEntries(store.db, ['a', 'b', 'c', 'unknown'])
        expect([...entries.keys()].sort()).toEqual(['a', 'b', 'c'])
        expect(entries.get('a')).toEqual({
          key: 'a',
          state: 'done',
          requestHash: 'hash of a',
          startedAt: 1000,
          repeats: 0,
          claim: 'word',
          finishedAt: 2000,
          reply: '{"id":7,"text":"Привет 👋"}',
        })
        expect(entries.get('b')).toEqual({
          key: 'b',
          state: 'started',
          requestHash: 'hash of b',
          startedAt: 1000,
          repeats: 0,
          claim: 'word',
        })
      })

      it('tells keys apart by every byte, and takes long ones', async () => {
        const long = 'x'.repeat(5000)
        const keys = [
          'Key',
          'key',
          'key ',
          'ke\u0301y',
          'k\u00e9y',
          "k'e\\y",
          'ключ',
          '👋',
          'a\0b',
          `${long}1`,
          `${long}2`,
        ]
        expect(
          await markStarted(
            store.db,
            keys.map((key) => row(key)),
          ),
        ).toEqual(new Set(keys))
        await forget(store.db, begun(keys))
        expect(await findLedgerEntries(store.db, keys)).toEqual(new Map())
        await markDone(
          store.db,
          keys.map((key) => done(key, JSON.stringify(key))),
        )
        const entries = await findLedgerEntries(store.db, keys)
        for (const key of keys) expect(entries.get(key)).toMatchObject({ key, reply: JSON.stringify(key) })
      })

      it('lets one begin again, end or forget what is begun since a moment, and nobody after that', async () => {
        const { db } = store
        await markStarted(db, [row('claimed'), row('ended'), row('withdrawn')])
        const end = { finishedAt: 2000, reply: '{"id":7}', ran: true }
        const again = { startedAt: 3000, claim: 'another', isRepeat: false }
        expect(await markAgain(db, 'claimed', 999, again)).toBe(false)
        expect(await markAgain(db, 'claimed', 1000, again)).toBe(true)
        expect(await markConcluded(db, 'claimed', 1000, end)).toBe(false)
        await forget(db, [
          { key: 'claimed', since: 1000 },
          { key: 'withdrawn', since: 1000 },
        ])
        expect(await markConcluded(db, 'ended', 1000, end)).toBe(true)
        expect(await markConcluded(db, 'ended', 1000, { ...end, reply: 'another' })).toBe(false)
        expect(await markAgain(db, 'ended', 1000, again)).toBe(false)
        await forget(db, [{ key: 'ended', since: 1000 }])
        const entries = await findLedgerEntries(db, ['claimed', 'ended', 'withdrawn'])
        expect([...entries.keys()].sort()).toEqual(['claimed', 'ended'])
        expect(entries.get('claimed')).toMatchObject({
          state: 'started',
          startedAt: 3000,
          claim: 'another',
          repeats: 0,
        })
        expect(entries.get('ended')).toMatchObject({ state: 'done', reply: '{"id":7}' })
      })

      it('counts how often a command in doubt was begun again', async () => {
        const { db } = store
        await markStarted(db, [row('doubtful')])
        for (const since of [1000, 1001, 1002]) {
          const claim = { startedAt: since + 1, claim: `word ${since}`, isRepeat: since !== 1001 }
          expect(await markAgain(db, 'doubtful', since, claim)).toBe(true)
        }
        expect((await findLedgerEntries(db, ['doubtful'])).get('doubtful')).toMatchObject({
          state: 'started',
          repeats: 2,
          claim: 'word 1002',
        })
      })

      it('keeps what has failed until it is begun anew, by one', async () => {
        const { db } = store
        await markStarted(db, [row('refused'), row('carried out')])
        const failed = { finishedAt: 2000, reply: '{}', ran: false }
        expect(await markConcluded(db, 'refused', 1000, failed)).toBe(true)
        await markDone(db, [done('carried out'), { ...done('refused at once'), ran: false }])
        expect(await markAgain(db, 'refused', 1000, { ...row(''), isRepeat: true })).toBe(false)
        const fresh = { ...row('refused', 3000), requestHash: 'another' }
        const begun = await Promise.all([markAnew(db, 1000, fresh), markAnew(db, 1000, fresh)])
        expect(begun.sort()).toEqual([false, true])
        expect(await markAnew(db, 1000, row('carried out', 3000))).toBe(false)
        const entries = await findLedgerEntries(db, ['refused', 'carried out', 'refused at once'])
        expect(entries.get('refused')).toEqual({ ...fresh, state: 'started', repeats: 0 })
        expect(entries.get('carried out')).toMatchObject({ state: 'done' })
        expect(entries.get('refused at once')).toMatchObject({ state: 'failed', reply: '{}' })
      })

      it('gives each key to one of many who begin it at the same time', async () => {
        const stores = await Promise.all([another(), another(), another()])
        const keys = Array.from({ length: 900 }, (_, i) => `raced ${i}`)
        const won = await Promise.all(
          stores.flatMap(({ db }, turn) => [
            markStarted(
              db,
              keys.slice(turn * 100).map((key) => row(key)),
            ),
            markStarted(
              db,
              keys.toReversed().map((key) => row(key)),
            ),
          ]),
        )
        expect(won.flatMap((fresh) => [...fresh]).sort()).toEqual([...keys].sort())
        for (const one of stores) await one.close()
      })

      it('writes an end also where no start was written, the last of two', async () => {
        await markDone(store.db, [done('read', 'first'), done('read', 'second')])
        expect((await findLedgerEntries(store.db, ['read'])).get('read')).toMatchObject({
          state: 'done',
          reply: 'second',
        })
      })

      it('keeps replies of 64 KB', async () => {
        await markDone(store.db, [done('fits', 'я'.repeat(32 * 1024)), done('long', 'я'.repeat(40 * 1024))])
        const entries = await findLedgerEntries(store.db, ['fits', 'long'])
        expect(entries.get('fits')!.reply).toBe('я'.repeat(32 * 1024))
        expect(entries.get('long')).not.toHaveProperty('reply')
      })

      it('works on none and on thousands at once', async () => {
        expect(await markStarted(store.db, [])).toEqual(new Set())
        await markDone(store.db, [])
        await forget(store.db, [])
        expect(await findLedgerEntries(store.db, [])).toEqual(new Map())
        const keys = Array.from({ length: 3000 }, (_, i) => `key ${i}`)
        expect(
          (
            await markStarted(
              store.db,
              keys.map((key) => row(key)),
            )
          ).size,
        ).toBe(3000)
        await forget(store.db, begun(keys.slice(0, 500)))
        await markDone(
          store.db,
          keys.slice(500).map((key) => done(key)),
        )
        expect((await findLedgerEntries(store.db, keys)).size).toBe(2500)
      })

      it('forgets what is older than a moment', async () => {
        await pruneLedger(store.db, 1_700_000_000_000)
        await markStarted(store.db, [row('old', 1_700_000_000_000), row('young', 1_700_000_000_002)])
        expect(await pruneLedger(store.db, 1_700_000_000_001)).toBe(1)
        const left = await findLedgerEntries(store.db, ['old', 'young'])
        expect(left.get('young')!.startedAt).toBe(1_700_000_000_002)
        expect(left.size).toBe(1)
      })
    })

    it('tells whose trial of a message it is, and whether that process is gone without having ended it', async () => {
      const { db } = store
      await seeInstance(db, 'one')
      await seeInstance(db, 'two')
      const begin = (owner: string, deaths: number) => beginTrial(db, { id: 'm', owner, deaths, now: now() })
      expect(await findTrial(db, 'm', 'one')).toBeUndefined()
      await begin('one', 0)
      const trial = { owner: 'one', deaths: 0, crowded: false, gone: false }
      expect(await findTrial(db, 'm', 'one')).toEqual(trial)
      // Where one process at a time has the store, the one before is gone.
      expect(await findTrial(db, 'm', 'two')).toEqual({ ...trial, gone: !store.features.shared })
      await forgetInstance(db, 'one')
      expect(await findTrial(db, 'm', 'two')).toEqual({ ...trial, gone: true })
      await crowdTrial(db, 'm', 'two')
      await crowdTrial(db, 'm', 'one')
      expect(await findTrial(db, 'm', 'two')).toEqual({ ...trial, crowded: true, gone: true })
      await begin('two', 1)
      await endTrial(db, 'm', 'one')
      expect(await findTrial(db, 'm', 'two')).toEqual({ ...trial, owner: 'two', deaths: 1 })
      await endTrials(db, 'one')
      expect(await findTrial(db, 'm', 'two')).toBeDefined()
      await endTrials(db, 'two')
      expect(await findTrial(db, 'm', 'two')).toBeUndefined()
      await begin('two', 0)
      await pruneTrials(db, now() + 1000)
      expect(await findTrial(db, 'm', 'two')).toBeUndefined()
    })

    it('saves levels of request counters over earlier ones', async () => {
      await saveBucket(store.db, 'portal', { level: 12.25, updatedAt: 1_700_000_000_000 })
      await saveBucket(store.db, 'portal', { level: 13.5, updatedAt: 1_700_000_000_001 })
      expect(await loadBuckets(store.db)).toEqual(
        new Map([['portal', { level: 13.5, updatedAt: 1_700_000_000_001 }]]),
      )
    })

    it('tells what failed without the statement, its values or the password', async () => {
      const secret = 'a value that is nobody’s business'
      const error = await sql`select * from no_such_table where a = ${secret}`.execute(store.db).then(
        () => undefined,
        (caught: Error) => caught,
      )
      expect(error).toMatchObject({ code: 'STORE_FAILED', name: 'StoreError', retryable: true })
      const all = JSON.stringify(error, Object.getOwnPropertyNames(error)) + String(error!.cause)
      expect(all).not.toContain(secret)
    })
  })
}

async function schemaNumbers(store: Store): Promise<number[]> {
  const { rows } = await sql<{ id: number }>`select id from schema_migrations order by id`.execute(store.db)
  return rows.map((row) => row.id)
}
