import { type Insertable, type Kysely, type Selectable, sql } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { InboxTable, StoreTables } from '../schema.ts'
import { chunksBySize, chunksOf, rowsAStatement } from './chunks.ts'
import { inTransaction } from './transaction.ts'

/** A row of the inbox as the database has it. */
export type InboxRow = Selectable<InboxTable>

const KEYS_A_STATEMENT = 500
const EVENT_COLUMNS = 7

/** Which callbacks are taken. */
export interface CallbackTake {
  readonly limit: number
  /** For so long nobody else is given them. */
  readonly holdMs: number
  /** Those whose callback begins so are left for later. */
  readonly exceptBegins: readonly string[]
}

/** Replies whose callback is due, each for one attempt. */
export async function takeCallbacks(
  db: Kysely<StoreTables>,
  { limit, holdMs, exceptBegins }: CallbackTake,
): Promise<InboxRow[]> {
  const now = moment(db, undefined)
  const due = (one: Kysely<StoreTables>) => {
    let rows = one.selectFrom('b24_inbox').where('callback_at', '<=', now)
    for (const begin of exceptBegins) rows = rows.where(beginsOtherwise(begin))
    return rows.orderBy('callback_at').orderBy('id')
  }
  const [any] = await due(db).select('id').limit(1).execute()
  if (any === undefined) return []
  return inTransaction(db, async (one) => {
    const rows = await due(one).selectAll().limit(limit).forUpdate().skipLocked().execute()
    const ids = rows.map(({ id }) => id)
    if (ids.length > 0)
      await one
        .updateTable('b24_inbox')
        .set((set) => ({
          callback_at: set(now, '+', holdMs),
          callback_attempts: set('callback_attempts', '+', 1),
        }))
        .where('id', 'in', ids)
        .execute()
    return rows.map((row) => ({ ...row, id: Number(row.id), callback_attempts: row.callback_attempts + 1 }))
  })
}

function beginsOtherwise(begin: string) {
  const pattern = `${begin.replace(/[!%_[]/g, '!$&')}%`
  return sql<boolean>`(callback is null or callback not like ${pattern} escape '!')`
}

/** How an attempt of a callback ended. */
export interface CallbackEnd {
  readonly id: number
  /** Which attempt it was; a later one has the last word. */
  readonly attempt: number
  /** False when it was none after all: it is taken off the count. */
  readonly counts: boolean
  readonly state: 'waiting' | 'sent' | 'dead'
  /** For `waiting`: until the next attempt. */
  readonly inMs?: number
  readonly error: string | null
}

export async function endCallback(
  db: Kysely<StoreTables>,
  { id, attempt, counts, state, inMs, error }: CallbackEnd,
): Promise<void> {
  await db
    .updateTable('b24_inbox')
    .set((set) => ({
      callback_state: state,
      callback_at: inMs === undefined ? null : set(moment(db, undefined), '+', inMs),
      callback_error: error,
      callback_attempts: counts ? attempt : attempt - 1,
    }))
    .where('id', '=', id)
    .where('callback_attempts', '=', attempt)
    .execute()
}

/** Adds events, those left out that are there already; the same event at the same moment from two sides may come twice. */
export async function keepInboxEvents(
  db: Kysely<StoreTables>,
  events: readonly Insertable<InboxTable>[],
): Promise<void> {
  const known = new Set<string>()
  const keyOf = ({ portal, message_id }: Pick<Insertable<InboxTable>, 'portal' | 'message_id'>) =>
    `${message_id} ${portal}`
  for (const some of chunksOf(events, KEYS_A_STATEMENT)) {
    const rows = await db
      .selectFrom('b24_inbox')
      .select(['message_id', 'portal'])
      .where('kind', '=', 'event')
      .where(
        'message_id',
        'in',
        some.map(({ message_id }) => message_id ?? ''),
      )
      .execute()
    for (const row of rows) known.add(keyOf(row))
  }
  const fresh = events.filter((event) => !known.has(keyOf(event)))
  for (const some of chunksOf(fresh, rowsAStatement(db, EVENT_COLUMNS)))
    for (const few of chunksBySize(some, (row) => (row.result?.length ?? 0) + (row.details?.length ?? 0)))
      await db.insertInto('b24_inbox').values(few).execute()
}

/** Callbacks that wait for their next attempt. */
export async function countCallbacks(db: Kysely<StoreTables>): Promise<number> {
  const row = await db
    .selectFrom('b24_inbox')
    .select((select) => select.fn.countAll<number | string>().as('count'))
    .where('callback_at', 'is not', null)
    .executeTakeFirstOrThrow()
  return Number(row.count)
}
