import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import {
  findLedgerEntries,
  forget,
  markDone,
  markStarted,
  pruneLedger,
} from '../../src/stores/queries/ledger.ts'
import type { Store } from '../../src/stores/store.ts'

describe('the ledger', () => {
  let store: Store
  const row = (key: string, startedAt = 1000) => ({ key, requestHash: `hash of ${key}`, startedAt })
  const done = (key: string, reply = '{}') => ({ ...row(key), finishedAt: 2000, reply })

  beforeEach(async () => {
    store = await openStore('sqlite::memory:', { now: Date.now })
  })
  afterEach(() => store.close())

  it('says which commands are new, and leaves the others as they were', async () => {
    expect(await markStarted(store.db, [row('a'), row('b')])).toEqual(new Set(['a', 'b']))
    await markDone(store.db, [done('a', '{"id":7}')])
    const again = await markStarted(store.db, [
      row('a', 5000),
      row('b', 5000),
      row('c', 5000),
      row('c', 5000),
    ])
    expect(again).toEqual(new Set(['c']))
    const entries = await findLedgerEntries(store.db, ['a', 'b', 'c', 'unknown'])
    expect([...entries.keys()].sort()).toEqual(['a', 'b', 'c'])
    expect(entries.get('a')).toEqual({
      key: 'a',
      state: 'done',
      requestHash: 'hash of a',
      startedAt: 1000,
      finishedAt: 2000,
      reply: '{"id":7}',
    })
    expect(entries.get('b')).toEqual({
      key: 'b',
      state: 'started',
      requestHash: 'hash of b',
      startedAt: 1000,
    })
  })

  it('writes an end also where no start was written', async () => {
    await markDone(store.db, [done('read', 'first'), done('read', 'second')])
    expect((await findLedgerEntries(store.db, ['read'])).get('read')).toMatchObject({
      state: 'done',
      reply: 'second',
    })
  })

  it('keeps replies up to 64 KB and of longer ones only that they were', async () => {
    await markDone(store.db, [
      done('fits', 'я'.repeat(32 * 1024)),
      done('too long', 'я'.repeat(32 * 1024 + 1)),
    ])
    const entries = await findLedgerEntries(store.db, ['fits', 'too long'])
    expect(entries.get('fits')!.reply).toHaveLength(32 * 1024)
    expect(entries.get('too long')).not.toHaveProperty('reply')
    expect(entries.get('too long')!.state).toBe('done')
  })

  it('works on none and on thousands at once', async () => {
    expect(await markStarted(store.db, [])).toEqual(new Set())
    await markDone(store.db, [])
    await forget(store.db, [])
    expect(await findLedgerEntries(store.db, [])).toEqual(new Map())
    const keys = Array.from({ length: 12_000 }, (_, i) => `key ${i}`)
    expect(
      (
        await markStarted(
          store.db,
          keys.map((key) => row(key)),
        )
      ).size,
    ).toBe(12_000)
    await markDone(
      store.db,
      keys.map((key) => done(key)),
    )
    expect((await findLedgerEntries(store.db, keys)).size).toBe(12_000)
    await forget(store.db, keys.slice(0, 11_999))
    expect((await findLedgerEntries(store.db, keys)).size).toBe(1)
  })

  it('forgets what is older than a moment', async () => {
    await markStarted(store.db, [row('old', 1000), row('young', 3000)])
    await markDone(store.db, [done('old and done')])
    expect(await pruneLedger(store.db, 3000)).toBe(2)
    expect([...(await findLedgerEntries(store.db, ['old', 'old and done', 'young'])).keys()]).toEqual([
      'young',
    ])
  })
})
