import { type Kysely, sql } from 'kysely'
import type { PortalEvent } from '../../model/event.ts'
import type { StoreTables } from '../schema.ts'
import { chunksBySize, chunksOf, rowsAStatement } from './chunks.ts'

/** An event that waits for the broker. */
export interface SpooledEvent {
  readonly id: number
  readonly event: PortalEvent
}

const COLUMNS = 4
const IDS_A_STATEMENT = 500

/** Appends in the order of the list. When it rejects, some of the first ones may have been appended. */
export async function appendToSpool(
  db: Kysely<StoreTables>,
  events: readonly PortalEvent[],
  now: number,
): Promise<void> {
  const rows = events.map((event) => ({
    member_id: event.memberId,
    event_key: event.key,
    event: JSON.stringify(event),
    spooled_at: now,
  }))
  for (const some of chunksOf(rows, rowsAStatement(db, COLUMNS))) {
    for (const few of chunksBySize(some, ({ event }) => event.length))
      await db.insertInto('event_spool').values(few).execute()
  }
}

/** The oldest ones, in order. */
export async function oldestSpooled(db: Kysely<StoreTables>, limit: number): Promise<SpooledEvent[]> {
  const rows = await db.selectFrom('event_spool').select(['id', 'event']).orderBy('id').limit(limit).execute()
  return rows.map(({ id, event }) => ({ id: Number(id), event: JSON.parse(event) as PortalEvent }))
}

export async function removeSpooled(db: Kysely<StoreTables>, ids: readonly number[]): Promise<void> {
  for (const some of chunksOf(ids, IDS_A_STATEMENT)) {
    await db.deleteFrom('event_spool').where('id', 'in', some).execute()
  }
}

/** Removes an event of a portal by its key. */
export async function removeSpooledKey(
  db: Kysely<StoreTables>,
  { memberId, key }: Pick<PortalEvent, 'memberId' | 'key'>,
): Promise<void> {
  await db.deleteFrom('event_spool').where('event_key', '=', key).where('member_id', '=', memberId).execute()
}

/** Portals of which something waits. */
export async function spooledMembers(db: Kysely<StoreTables>): Promise<string[]> {
  const rows = await db.selectFrom('event_spool').select('member_id').distinct().execute()
  return rows.map((row) => row.member_id)
}

/** How many wait, and since when the oldest. */
export async function spoolSize(
  db: Kysely<StoreTables>,
): Promise<{ readonly count: number; readonly oldestAt?: number }> {
  const row = await db
    .selectFrom('event_spool')
    .select((select) => [
      select.fn.countAll<number | string>().as('count'),
      sql<number | string | null>`min(spooled_at)`.as('oldest'),
    ])
    .executeTakeFirstOrThrow()
  const count = Number(row.count)
  return row.oldest === null ? { count } : { count, oldestAt: Number(row.oldest) }
}
