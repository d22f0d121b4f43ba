import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'
import { insertNew } from './insert-new.ts'

/** A message is about to be tried that may have killed a process; how often it was begun before without an end. */
export async function beginSuspect(db: Kysely<StoreTables>, id: string, now: number): Promise<number> {
  const fresh = await insertNew(db, 'suspects', 'id', [{ id, tries: 1, seen_at: now }])
  if (fresh.has(id)) return 0
  const row = await db.selectFrom('suspects').select('tries').where('id', '=', id).executeTakeFirst()
  await db
    .updateTable('suspects')
    .set(({ eb }) => ({ tries: eb('tries', '+', 1), seen_at: now }))
    .where('id', '=', id)
    .execute()
  return row?.tries ?? 0
}

/** Its process has survived it. */
export async function endSuspect(db: Kysely<StoreTables>, id: string): Promise<void> {
  await db.deleteFrom('suspects').where('id', '=', id).execute()
}
