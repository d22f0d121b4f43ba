import type { ExpressionBuilder, Kysely, Selectable } from 'kysely'
import { sql } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { OutboxTable, StoreTables } from '../schema.ts'
import { chunksOf } from './chunks.ts'
import { insertNew } from './insert-new.ts'
import { inTransaction } from './transaction.ts'

/** A row of the outbox as the database has it. */
export type OutboxRow = Selectable<OutboxTable>

const TAKERS = 'outbox-take'
const IDS_A_STATEMENT = 500
// As a literal: SQLite uses a partial index only when it can see the condition.
const pending = sql<boolean>`o.pending = 1`

export interface OutboxTake {
  /** Who takes; different for each process. */
  readonly owner: string
  /** How long they are held unless it is prolonged. */
  readonly ttlMs: number
  readonly limit: number
  /** Rows with these in `portal` are left for later; null for those without. */
  readonly exceptPortals: readonly (string | null)[]
  /** Rows that were taken so often before, or more often, are suspects. */
  readonly suspectFrom: number
  /** Which of the suspects that are due, the oldest first, are taken now. */
  readonly chooseSuspects: (due: readonly OutboxRow[]) => readonly OutboxRow[]
}

/**
 * Takes the oldest rows that are due, in the order of their ids. Of rows with one `order_key`, or one `message_id`, only
 * one is out at a time, the oldest first. Rows whose holder has not prolonged them are taken over.
 */
export async function takeOutboxRows(db: Kysely<StoreTables>, take: OutboxTake): Promise<OutboxRow[]> {
  const { owner, ttlMs } = take
  const [any] = await dueRows(db, take).select('o.id').limit(1).execute()
  if (any === undefined) return []
  return inTransaction(db, async (one) => {
    // One taker at a time: two could not see which keys the other is just taking.
    await lockTakers(one)
    const rows = await chosenRows(one, take)
    for (const some of chunksOf(rows, IDS_A_STATEMENT))
      await one
        .updateTable('b24_outbox')
        .set((set) => ({
          state: 'taken' as const,
          owner,
          lease_until: set(moment(one, undefined), '+', ttlMs),
          attempts: set('attempts', '+', 1),
        }))
        .where(
          'id',
          'in',
          some.map(({ id }) => id),
        )
        .execute()
    return rows.map((row) => ({
      ...row,
      id: Number(row.id),
      state: 'taken',
      owner,
      attempts: row.attempts + 1,
    }))
  })
}

async function chosenRows(db: Kysely<StoreTables>, take: OutboxTake): Promise<OutboxRow[]> {
  const { limit, suspectFrom } = take
  const due = (most: number, rows = dueRows(db, take)) =>
    // What its writer holds locked is passed over.
    rows.selectAll('o').limit(most).forUpdate().skipLocked().execute()
  const oldest = await due(limit)
  const suspects = oldest.filter(({ attempts }) => attempts >= suspectFrom)
  const chosen = take.chooseSuspects(suspects)
  if (chosen.length === suspects.length) return oldest
  // Those that are left for later must not stand in the way of the others.
  const trusted = dueRows(db, take).where('o.attempts', '<', suspectFrom)
  const others = chosen.length < limit ? await due(limit - chosen.length, trusted) : []
  return [...chosen, ...others].sort((a, b) => a.id - b.id)
}

function dueRows(db: Kysely<StoreTables>, { exceptPortals }: Pick<OutboxTake, 'exceptPortals'>) {
  const now = moment(db, undefined)
  const names = exceptPortals.filter((name) => name !== null)
  let rows = db
    .selectFrom('b24_outbox as o')
    .where(pending)
    .where((where) => where.or([where('o.lease_until', 'is', null), where('o.lease_until', '<=', now)]))
    .where((where) => where.or([where('o.not_before', 'is', null), where('o.not_before', '<=', now)]))
    .where((where) =>
      where.or([
        where('o.order_key', 'is', null),
        where('o.order_key', '=', ''),
        nobodyBefore(where, 'order_key'),
      ]),
    )
    .where((where) =>
      where.or([
        where('o.message_id', 'is', null),
        where('o.message_id', '=', ''),
        nobodyBefore(where, 'message_id'),
      ]),
    )
    .orderBy('o.id')
  if (names.length > 0)
    rows = rows.where((where) =>
      where.or([where('o.portal', 'is', null), where('o.portal', 'not in', names)]),
    )
  if (exceptPortals.includes(null)) rows = rows.where('o.portal', 'is not', null)
  return rows
}

type Outer = StoreTables & { o: OutboxTable }

/** No row of the same key is older, or out: one that was written first may become visible later. */
function nobodyBefore(where: ExpressionBuilder<Outer, 'o'>, key: 'order_key' | 'message_id') {
  return where.not(
    where.exists(
      where
        .selectFrom('b24_outbox as p')
        .select('p.id')
        .where(sql<boolean>`p.pending = 1`)
        .whereRef(`p.${key}`, '=', `o.${key}`)
        .whereRef('p.id', '!=', 'o.id')
        .where((or) => or.or([or('p.id', '<', or.ref('o.id')), or('p.state', '=', 'taken')])),
    ),
  )
}

async function lockTakers(db: Kysely<StoreTables>): Promise<void> {
  const lock = () =>
    db
      .updateTable('leases')
      .set((set) => ({ fence: set('fence', '+', 1) }))
      .where('name', '=', TAKERS)
      .executeTakeFirst()
  if ((await lock()).numUpdatedRows > 0n) return
  await insertNew(db, 'leases', 'name', [{ name: TAKERS, owner: '', until: 0, fence: 0 }])
  await lock()
}

/** Holds rows for longer; those that are no more this owner's stay as they are. */
export async function renewOutboxRows(
  db: Kysely<StoreTables>,
  owner: string,
  ids: readonly number[],
  ttlMs: number,
): Promise<void> {
  for (const some of chunksOf(ids, IDS_A_STATEMENT))
    await db
      .updateTable('b24_outbox')
      .set((set) => ({ lease_until: set(moment(db, undefined), '+', ttlMs) }))
      .where('id', 'in', some)
      .where(sql<boolean>`pending = 1`)
      .where('owner', '=', owner)
      .execute()
}

/** Gives rows back that were not carried out, to be taken again after a rest; this taking does not count. */
export async function returnOutboxRows(
  db: Kysely<StoreTables>,
  owner: string,
  ids: readonly number[],
  restMs: number,
): Promise<void> {
  for (const some of chunksOf(ids, IDS_A_STATEMENT))
    await db
      .updateTable('b24_outbox')
      .set((set) => ({
        state: 'new' as const,
        owner: null,
        lease_until: set(moment(db, undefined), '+', restMs),
        attempts: set('attempts', '-', 1),
      }))
      .where('id', 'in', some)
      .where('owner', '=', owner)
      .execute()
}

/** Frees what an earlier process held; for stores that only one may use. */
export async function freeOutboxRows(db: Kysely<StoreTables>, owner: string): Promise<void> {
  await db
    .updateTable('b24_outbox')
    .set({ state: 'new', owner: null, lease_until: null })
    .where(sql<boolean>`pending = 1`)
    .where('state', '=', 'taken')
    .where('owner', '!=', owner)
    .execute()
}

/** Rows that have not ended, and for how long the oldest has been due, by the database's clock. */
export async function outboxDepth(
  db: Kysely<StoreTables>,
): Promise<{ readonly waiting: number; readonly taken: number; readonly ageMs: number }> {
  const now = moment(db, undefined)
  const rows = await db
    .selectFrom('b24_outbox as o')
    .select((select) => [
      'o.state',
      select.fn.countAll<number | string>().as('count'),
      sql<number | string>`max(${now} - coalesce(o.not_before, o.created_at))`.as('age'),
    ])
    .where(pending)
    .groupBy('o.state')
    .execute()
  const count = (wanted: string) => Number(rows.find(({ state }) => state === wanted)?.count ?? 0)
  return {
    waiting: count('new'),
    taken: count('taken'),
    ageMs: Math.max(0, ...rows.map(({ age }) => Number(age))),
  }
}

/** Forgets rows that ended, and everything in the inbox that is owed to nobody, when older than this; says how many. */
export async function pruneOutbox(db: Kysely<StoreTables>, olderThanMs: number): Promise<number> {
  const before = sql<number>`${moment(db, undefined)} - ${sql.lit(Math.trunc(olderThanMs))}`
  const outbox = await db.deleteFrom('b24_outbox').where('finished_at', '<', before).executeTakeFirst()
  const inbox = await db
    .deleteFrom('b24_inbox')
    .where('created_at', '<', before)
    .where('callback_at', 'is', null)
    .executeTakeFirst()
  return Number(outbox.numDeletedRows + inbox.numDeletedRows)
}
