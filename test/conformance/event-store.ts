import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { PortalEvent } from '../../src/model/event.ts'
import { eventRecords } from '../../src/stores/events.ts'
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

    describe('an event that waits for the broker', () => {
      const event = (memberId: string, key: string, text = ''): PortalEvent => ({
        kind: 'event',
        memberId,
        domain: 'd',
        event: 'ONCRMDEALUPDATE',
        data: { text },
        receivedAt: AT,
        key,
      })

      it('comes back as it was, in the order in which it came, whatever its size and letters', async () => {
        const { spool } = await eventQueries()
        expect(await spool.size()).toEqual({ count: 0 })
        const events = [
          event('m1', '1', 'снег 雪 😀 \u0001 "quoted" \\ null \u2028'),
          event('m2', '1', 'x'.repeat(1_500_000)),
          ...Array.from({ length: 1200 }, (_, at) => event('M1', `k${at}`)),
        ]
        await spool.append(events)
        await spool.append([event('m1', 'K1')])
        const found = await spool.oldest(5000)
        expect(found.map((one) => one.event)).toEqual([...events, event('m1', 'K1')])
        expect(await spool.oldest(2)).toEqual(found.slice(0, 2))
        expect((await spool.members()).sort()).toEqual(['M1', 'm1', 'm2'])
        expect(await spool.size()).toEqual({ count: 1203, oldestAt: AT })
        await spool.removeKey({ memberId: 'm1', key: 'k1' })
        expect((await spool.size()).count, 'keys are compared letter by letter').toBe(1203)
        await spool.removeKey({ memberId: 'm1', key: '1' })
        expect((await spool.oldest(1))[0]?.event).toMatchObject({ memberId: 'm2', key: '1' })
        await spool.remove(found.map(({ id }) => id))
        await spool.remove([])
        expect(await spool.size()).toEqual({ count: 0 })
        expect(await spool.members()).toEqual([])
      })

      it('is drained by one process at a time, until it gives that right back', async () => {
        const { spool } = await eventQueries()
        const got = await Promise.all(['a', 'b', 'c'].map((owner) => spool.lease(owner, 60_000)))
        expect(got.filter(Boolean)).toHaveLength(1)
        const owner = ['a', 'b', 'c'][got.indexOf(true)] as string
        expect(await spool.lease(owner, 60_000)).toBe(true)
        await spool.release('nobody')
        expect(await spool.lease('d', 60_000)).toBe(false)
        await spool.release(owner)
        expect(await spool.lease('d', 60_000)).toBe(true)
      })

      async function eventQueries() {
        const secrets = await openSecrets(store.db, openSealer({ keys: KEYS }), Date.now)
        return eventRecords(store.db, secrets, () => AT)
      }
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

      it('is listed by the page, of one portal or of all, and is due when somebody says so', async () => {
        const offline = offlineQueries(store)
        const of = (memberId: string, clientId: string) => ({ memberId, clientId })
        for (const one of [of('p1', 'a'), of('p1', 'b'), of('p2', 'a')])
          await offline.replace(one, ['', 'x'], AT)
        const page = await offline.list({ memberId: 'p1', limit: 3 })
        expect(page.pumps).toHaveLength(3)
        const rest = await offline.list({ memberId: 'p1', after: page.next!, limit: 3 })
        expect([...page.pumps, ...rest.pumps].map((one) => [one.clientId, one.connector])).toEqual([
          ['a', ''],
          ['a', 'x'],
          ['b', ''],
          ['b', 'x'],
        ])
        expect(rest.next).toBeUndefined()
        expect((await offline.list({ limit: 1000 })).pumps.length).toBeGreaterThanOrEqual(6)
        expect(await offline.pumps({ memberId: 'p1' }), 'of all its applications').toHaveLength(4)
        await offline.due({ ...of('p2', 'a'), connector: 'x' })
        expect(await offline.claimDue(AT - 1000, 10, 1)).toMatchObject([{ memberId: 'p2', connector: 'x' }])
        for (const one of [of('p1', 'a'), of('p1', 'b'), of('p2', 'a')])
          await store.db.deleteFrom('offline_pumps').where('member_id', '=', one.memberId).execute()
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
