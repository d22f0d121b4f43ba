import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'

/** How far something has been read. */
export interface Cursor {
  /** Whatever its reader wants to find again. */
  readonly value: string
  /** Milliseconds since 1970. */
  readonly updatedAt: number
}

/**
 * The cursor of this name, or `undefined` when none was saved. Names are paths of words, such as
 * `push/{member_id}/{client_id}/private`, of 255 characters at most.
 */
export async function readCursor(db: Kysely<StoreTables>, name: string): Promise<Cursor | undefined> {
  const row = await db
    .selectFrom('event_cursors')
    .select(['value', 'updated_at'])
    .where('name', '=', name)
    .executeTakeFirst()
  return row === undefined ? undefined : { value: row.value, updatedAt: row.updated_at }
}

/** Saves a cursor, over the earlier one. Whoever saves last wins: hold a lease where that matters. */
export async function saveCursor(
  db: Kysely<StoreTables>,
  name: string,
  { value, updatedAt }: Cursor,
): Promise<void> {
  const values = { value, updated_at: updatedAt }
  await db
    .insertInto('event_cursors')
    .values({ name, ...values })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(values))
    .execute()
}

/** Forgets cursors: the one of this name, and those below it (`{name}/…`). None is harmless. */
export async function forgetCursors(db: Kysely<StoreTables>, name: string): Promise<void> {
  await db
    .deleteFrom('event_cursors')
    .where((where) =>
      where.or([
        where('name', '=', name),
        // Names may hold `_` and `%`, which LIKE reads as wildcards.
        where.and([where('name', '>=', `${name}/`), where('name', '<', `${name}0`)]),
      ]),
    )
    .execute()
}
