import type { Kysely } from 'kysely'
import { key, makeTable, time } from './table.ts'

/** The processes that share the store: how many they are says how much of a portal's limit is safe for one alone. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'instances', {
    columns: { owner: key(128), seen_at: time },
    primaryKey: ['owner'],
  })
}
