import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { offlineQueries } from '../../src/stores/offline.ts'
import { openStore } from '../../src/stores/open.ts'
import { forgetCursors, readCursor, saveCursor } from '../../src/stores/queries/cursors.ts'
import { saveTokens } from '../../src/stores/queries/tokens.ts'
import { openSealer } from '../../src/stores/seal.ts'
import { openSecrets } from '../../src/stores/secrets.ts'
import type { Store } from '../../src/stores/store.ts'
import type { TestDatabase } from '../support/databases.ts'

const KEYS = `k1:${Buffer.alloc(32, 1).toString('base64')}`
const AT = 1_700_000_000_000

/** What every database must do for those who fetch events. */
export function eventStoreConformance(database: TestDatabase): void {
  describe.skipIf(database.skip)(`sources of events on ${database.name}${database.note}`, () => {
    let place: Awaited<ReturnType<TestDatabase['create']>>
    let store: Store

    beforeAll(async () => {
      place = await database.create()
      store = await openStore(place.url, { now: Date.now })
    })
    afterAll(async () => {
      await store.close()
      await place.drop()
    })

    describe('a cursor', () => {
      it('is what was saved last under its name', async () => {
        const { db } = store
        expect(await readCursor(db, 'push/m/c')).toBeUndefined()
        await saveCursor(db, 'push/m/c', { value: '1', updatedAt: AT })
        await saveCursor(db, 'push/m/C', { value: 'other', updatedAt: AT })
        await saveCursor(db, 'push/m/c', { value: '2', updatedAt: AT + 1 })
        expect(await readCursor(db, 'push/m/c')).toEqual({ value: '2', updatedAt: AT + 1 })
        expect(await readCursor(db, 'push/m/C')).toEqual({ value: 'other', updatedAt: AT })
      })

      it('is forgotten with those below it, and no others', async () => {
        const { db } = store
        const names = [
          'scan/a_b',
          'scan/a_b/deals',
          'scan/a_b/leads',
          'scan/axb',
          'scan/a_bc',
          'scan/A_B/deals',
        ]
        for (const name of names) await saveCursor(db, name, { value: name, updatedAt: AT })
        await forgetCursors(db, 'scan/a_b')
        const left = await Promise.all(names.map((name) => readCursor(db, name)))
        expect(left.map((cursor) => cursor?.value)).toEqual([
          undefined,
          undefined,
          undefined,
          'scan/axb',
          'scan/a_bc',
          'scan/A_B/deals',
        ])
      })
    })

    describe('an offline queue', () => {
      const source = { memberId: 'm1', clientId: 'local.1' }
      const queue = { ...source, connector: '', scheme: 'unknown' as const, schemeUntil: 0, idlePolls: 0 }

      it('is there from the day that it has handlers, until it has none and is empty', async () => {
        const offline = offlineQueries(store)
        await offline.replace(source, ['', 'erp'], AT)
        await offline.save({ ...queue, scheme: 'delete', schemeUntil: AT + 9, dueAt: AT + 5, idlePolls: 0 })
        await offline.replace(source, ['erp'], AT + 1)
        const known = { ...queue, scheme: 'delete', schemeUntil: AT + 9, dueAt: AT + 5 }
        expect(await offline.pumps(source)).toEqual([known, { ...queue, connector: 'erp', dueAt: AT }])
        await offline.save({ ...queue, dueAt: AT, idlePolls: 1, trouble: 'TOKENS_DEAD' })
        expect(await offline.count()).toEqual({ all: 2, troubled: 1 })
        await offline.replace(source, ['erp'], AT + 2)
        expect((await offline.pumps(source)).map(({ connector }) => connector)).toEqual(['erp'])
        await offline.save({ ...queue, dueAt: AT })
        expect(await offline.pumps(source)).toHaveLength(1)
      })

      it('is given to one caller when it is due, the longest overdue first', async () => {
        const offline = offlineQueries(store)
        const others = ['a', 'b', 'c'].map((clientId) => ({ memberId: 'm2', clientId }))
        for (const [index, one] of others.entries()) await offline.replace(one, ['x'], AT - 10 - index)
        const taken = await Promise.all(Array.from({ length: 4 }, () => offline.claimDue(AT - 10, 2, 60_000)))
        const names = taken.flat().map(({ clientId }) => clientId)
        expect([...names].sort()).toEqual([...new Set(names)].sort())
        expect(names).toContain('c')
        for (let i = 0; i < 3; i++)
          names.push(...(await offline.claimDue(AT - 10, 2, 60_000)).map((one) => one.clientId))
        expect([...names].sort()).toEqual(['a', 'b', 'c'])
      })

      it('is looked for where an application has tokens that work, by one caller and not before its time', async () => {
        const offline = offlineQueries(store)
        const secrets = await openSecrets(store.db, openSealer({ keys: KEYS }), Date.now)
        const key = { memberId: 'm3', clientId: 'local.3', userId: '1' }
        await saveTokens(store.db, secrets, key, { accessToken: 'a', refreshToken: 'r' }, AT)
        const found = await Promise.all([1, 2, 3].map(() => offline.claimUnseen(AT - 100, AT, 10)))
        expect(found.flat()).toEqual([{ memberId: 'm3', clientId: 'local.3' }])
        expect(await offline.claimUnseen(AT - 100, AT + 50, 10)).toEqual([])
        await offline.unsee(key)
        expect(await offline.claimUnseen(AT - 100, AT + 50, 10)).toHaveLength(1)
        await offline.replace(key, [''], AT)
        await store.db.deleteFrom('tokens').execute()
        expect(await offline.claimUnseen(AT + 60, AT + 61, 10)).toEqual([])
        expect(await offline.pumps(key)).toEqual([])
      })
    })
  })
}
