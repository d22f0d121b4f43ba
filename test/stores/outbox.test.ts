import { sql } from 'kysely'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { outboxQueries } from '../../src/stores/outbox.ts'
import type { OutboxEnd } from '../../src/stores/queries/outbox-ends.ts'
import { createFor, DATABASES, type TestDatabase } from '../support/databases.ts'

const TAKE = {
  ttlMs: 60_000,
  limit: 100,
  exceptPortals: [],
  suspectFrom: 2,
  chooseSuspects: <R>(due: readonly R[]): readonly R[] => due,
}

for (const database of DATABASES)
  describe.skipIf(database.skip)(`the tables of the outbox on ${database.name}${database.note}`, () => {
    it('need no more of a row than a method, and fill in the rest', async () => {
      const { one, insert } = await open(database)
      const before = Date.now()
      await insert({ method: 'crm.deal.get', params: '{"id":7}' })
      await insert({ method: 'crm.deal.get' })
      const rows = await one.take(TAKE)
      expect(rows).toMatchObject([
        { id: 1, method: 'crm.deal.get', params: '{"id":7}', portal: null, attempts: 1, chain_step: 0 },
        { id: 2, params: null },
      ])
      for (const { created_at } of rows) expect(Math.abs(created_at - before)).toBeLessThan(60_000)
    })

    it('have nothing of a transaction that was taken back', async () => {
      const { store, one } = await open(database)
      const written = store.db.transaction().execute(async (transaction) => {
        await sql`insert into b24_outbox (method) values ('crm.deal.add')`.execute(transaction)
        throw new Error('the order was cancelled')
      })
      await expect(written).rejects.toThrow('cancelled')
      expect(await one.take(TAKE)).toEqual([])
    })

    it('give each row to one taker, the oldest first', async () => {
      const { one, other, insert } = await open(database)
      for (let i = 0; i < 60; i++) await insert({ method: `method.${i}` })
      const takes = Array.from({ length: 12 }, (_, i) => (i % 2 ? one : other).take({ ...TAKE, limit: 10 }))
      const taken = (await Promise.all(takes)).flat().map(({ id }) => id)
      while (taken.length < 60) {
        const more = await one.take({ ...TAKE, limit: 10 })
        if (more.length === 0) break
        taken.push(...more.map(({ id }) => id))
      }
      expect([...taken].sort((a, b) => a - b)).toEqual(Array.from({ length: 60 }, (_, i) => i + 1))
    })

    it('let one row of an order key out at a time, and one of a message id', async () => {
      const { one, other, insert } = await open(database)
      for (const order_key of ['a', 'b', 'a', '']) await insert({ method: 'm', order_key })
      for (const message_id of ['x', 'x']) await insert({ method: 'm', message_id })
      const first = await one.take(TAKE)
      expect(first.map(({ id }) => id)).toEqual([1, 2, 4, 5])
      expect(await other.take(TAKE)).toEqual([])
      await one.end([ended(1), ended(5)])
      expect((await other.take(TAKE)).map(({ id }) => id)).toEqual([3, 6])
    })

    it('never let a row that became visible late overtake or join another of its key', async () => {
      const { store, one, insert } = await open(database)
      await insert({ method: 'm', order_key: 'a' })
      await insert({ method: 'm', order_key: 'a' })
      // As if the first had been committed only after the second was taken.
      await sql`update b24_outbox set pending = 0 where id = 1`.execute(store.db)
      expect((await one.take(TAKE)).map(({ id }) => id)).toEqual([2])
      await sql`update b24_outbox set pending = 1 where id = 1`.execute(store.db)
      expect(await one.take(TAKE)).toEqual([])
      await one.end([ended(2)])
      expect((await one.take(TAKE)).map(({ id }) => id)).toEqual([1])
    })

    it('keep a row until its time, and pass over those of a portal', async () => {
      const { one, insert } = await open(database)
      await insert({ method: 'm', not_before: Date.now() + 3_600_000 })
      await insert({ method: 'm', not_before: Date.now() - 3_600_000, portal: 'busy.example' })
      await insert({ method: 'm' })
      const ids = async (exceptPortals: (string | null)[]) =>
        (await one.take({ ...TAKE, exceptPortals })).map(({ id }) => id)
      expect(await ids(['busy.example', null])).toEqual([])
      expect(await ids(['busy.example'])).toEqual([3])
      expect(await ids([])).toEqual([2])
    })

    it('give a row whose holder is gone to another, and believe only the new holder', async () => {
      const { store, one, other, insert } = await open(database)
      await insert({ method: 'm' })
      await one.take({ ...TAKE, ttlMs: 0 })
      expect(await other.take(TAKE)).toMatchObject([{ id: 1, attempts: 2 }])
      expect(await one.end([ended(1)])).toEqual(new Set())
      expect(await inbox(store)).toEqual([])
      expect(await other.end([ended(1)])).toEqual(new Set([1]))
      expect(await inbox(store)).toMatchObject([{ outbox_id: 1, outcome: 'done', result: '7' }])
      expect(await other.end([ended(1)])).toEqual(new Set())
    })

    it('hold rows for longer that are named, and give them back with a rest', async () => {
      const { one, other, insert } = await open(database)
      for (let i = 0; i < 2; i++) await insert({ method: 'm' })
      await one.take({ ...TAKE, ttlMs: 0 })
      await one.renew([1], 60_000)
      // Nobody said that the second one is still in hand.
      expect(await other.take(TAKE)).toMatchObject([{ id: 2, attempts: 2 }])
      await one.renew([1, 2], 3_600_000)
      await other.giveBack([2], 3_600_000)
      expect(await other.take(TAKE)).toEqual([])
      await other.giveBack([1], 0)
      await one.giveBack([1], 3_600_000)
      expect(await other.take(TAKE)).toEqual([])
      await one.giveBack([1], 0)
      expect(await other.take(TAKE)).toEqual([])
    })

    it('give those that were taken often as they are chosen, and all others beside them', async () => {
      const { one, insert } = await open(database)
      for (const attempts of [2, 0, 3, 2, 1, 0]) await insert({ method: 'm', attempts })
      const asked: number[][] = []
      const take = async (choose: (ids: readonly { id: number }[]) => readonly number[], limit = 100) => {
        const rows = await one.take({
          ...TAKE,
          limit,
          chooseSuspects(due) {
            asked.push(due.map(({ id }) => Number(id)))
            const chosen = choose(due.map(({ id }) => ({ id: Number(id) })))
            return due.filter(({ id }) => chosen.includes(Number(id)))
          },
        })
        return rows.map(({ id }) => id)
      }
      expect(await take(() => [1], 4)).toEqual([1, 2, 5, 6])
      expect(await take(() => [])).toEqual([])
      expect(await take(() => [3, 4])).toEqual([3, 4])
      expect(asked).toEqual([
        [1, 3, 4],
        [3, 4],
        [3, 4],
      ])
    })

    it('write ends, replies and next rows together, and count what is left', async () => {
      const { store, one, insert } = await open(database)
      for (let i = 0; i < 4; i++) await insert({ method: 'm' })
      await one.take(TAKE)
      const next = { ...NEXT, method: 'next', chain_id: 1, chain_step: 1 }
      await one.end([{ ...ended(1), next }, ended(2), { ...ended(3), state: 'failed', error: 'NO: reason' }])
      const rows = await sql<{ state: string; last_error: string | null; method: string }>`
        select state, last_error, method from b24_outbox order by id`.execute(store.db)
      expect(rows.rows).toEqual([
        { state: 'done', last_error: null, method: 'm' },
        { state: 'done', last_error: null, method: 'm' },
        { state: 'failed', last_error: 'NO: reason', method: 'm' },
        { state: 'taken', last_error: null, method: 'm' },
        { state: 'new', last_error: null, method: 'next' },
      ])
      expect(await one.depth()).toMatchObject({ waiting: 1, taken: 1 })
      expect((await inbox(store)).length).toBe(3)
    })

    it('give a callback to one teller, and the last attempt the last word', async () => {
      const { one, other, insert } = await open(database)
      await insert({ method: 'm' })
      await one.take(TAKE)
      const { reply } = ended(1)
      await one.end([{ ...ended(1), reply: { ...reply, callback_at: 0, callback_state: 'waiting' } }])
      const due = { limit: 10, holdMs: 0, exceptBegins: [] }
      expect(await one.takeCallbacks(due)).toMatchObject([{ callback_attempts: 1 }])
      expect(await other.takeCallbacks(due)).toMatchObject([{ callback_attempts: 2 }])
      const end = { id: 1, counts: true, error: null }
      await one.endCallback({ ...end, attempt: 1, state: 'sent' })
      expect(await one.callbacks()).toBe(1)
      await other.endCallback({ ...end, attempt: 2, counts: false, state: 'waiting', inMs: 0, error: 'away' })
      expect(await one.takeCallbacks({ ...due, holdMs: 3_600_000 })).toMatchObject([
        { callback_attempts: 2, callback_error: 'away' },
      ])
      expect(await other.takeCallbacks(due)).toEqual([])
      await one.endCallback({ ...end, attempt: 2, state: 'sent' })
      expect(await one.callbacks()).toBe(0)
    })

    it('leave callbacks that begin in a certain way', async () => {
      const { one, insert } = await open(database)
      const texts = [
        'https://a_b.example/x',
        'https://axb.example/x',
        'https://[::1]/x',
        'queue:replies',
        'row',
      ]
      for (let i = 0; i < texts.length; i++) await insert({ method: 'm' })
      await one.take(TAKE)
      await one.end(
        texts.map((callback, i) => {
          const { reply, ...rest } = ended(i + 1)
          return {
            ...rest,
            reply: { ...reply, callback, callback_at: 0, callback_state: 'waiting' as const },
          }
        }),
      )
      const exceptBegins = ['https://a_b.example/', 'https://[::1]/', 'queue:', 'https://%']
      const rows = await one.takeCallbacks({ limit: 10, holdMs: 60_000, exceptBegins })
      expect(rows.map(({ callback }) => callback).sort()).toEqual(['https://axb.example/x', 'row'])
      const others = await one.takeCallbacks({ limit: 10, holdMs: 60_000, exceptBegins: [] })
      expect(others).toHaveLength(3)
    })

    it('forget what ended long ago, but no row that waits and no reply that is owed', async () => {
      const { store, one, insert } = await open(database)
      for (let i = 0; i < 3; i++) await insert({ method: 'm' })
      await one.take(TAKE)
      const { reply } = ended(2)
      await one.end([ended(1), { ...ended(2), reply: { ...reply, callback_at: 0 } }])
      await one.prune(3_600_000)
      expect((await inbox(store)).length).toBe(2)
      await one.prune(-1000)
      const left = await sql<{ id: number }>`select id from b24_outbox`.execute(store.db)
      expect(left.rows.map(({ id }) => Number(id))).toEqual([3])
      expect(await inbox(store)).toMatchObject([{ outbox_id: 2 }])
    })

    it('keep an event once a portal', async () => {
      const { store, one } = await open(database)
      const event = {
        kind: 'event' as const,
        message_id: 'k1',
        portal: 'a.example',
        name: 'ONCRMDEALADD',
        result: '{"ID":"7"}',
        details: '{}',
      }
      await one.keepEvents([event])
      await one.keepEvents([event, { ...event, portal: 'b.example' }])
      expect(await inbox(store)).toMatchObject([{ portal: 'a.example' }, { portal: 'b.example' }])
    })
  })

async function open(database: TestDatabase) {
  const { url } = await createFor(database)
  const store = await openStore(url, { now: Date.now })
  onTestFinished(() => store.close())
  const { db } = store
  return {
    store,
    one: outboxQueries(store, 'one'),
    other: outboxQueries(store, 'other'),
    insert: (row: Record<string, string | number | null>) =>
      sql`insert into b24_outbox (${sql.join(Object.keys(row).map((name) => sql.ref(name)))})
        values (${sql.join(Object.values(row))})`.execute(db),
  }
}

async function inbox({ db }: Awaited<ReturnType<typeof openStore>>) {
  return db.selectFrom('b24_inbox').selectAll().orderBy('id').execute()
}

function ended(id: number): OutboxEnd {
  return {
    id,
    state: 'done',
    error: null,
    reply: {
      kind: 'reply',
      outbox_id: id,
      chain_id: null,
      chain_step: 0,
      message_id: null,
      portal: null,
      name: 'm',
      outcome: 'done',
      status_code: 200,
      result: '7',
      error_code: null,
      error: null,
      meta: null,
      details: '{}',
      callback: null,
      callback_state: null,
      callback_at: null,
    },
  }
}

const NEXT = {
  portal: null,
  params: null,
  action: null,
  as_user: null,
  options: null,
  meta: null,
  order_key: null,
  priority: null,
  message_id: null,
  callback: null,
  then_run: null,
  chain_values: null,
}
