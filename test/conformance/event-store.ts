import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { forgetCursors, readCursor, saveCursor } from '../../src/stores/queries/cursors.ts'
import type { Store } from '../../src/stores/store.ts'
import type { TestDatabase } from '../support/databases.ts'

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
  })
}
