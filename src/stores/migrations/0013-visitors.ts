import type { Kysely } from 'kysely'
import { key, makeTable } from './table.ts'

/** Users whose tokens came with a page that they opened: they speak for themselves, not for the application. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'visitors', {
    columns: { token_id: key(300), member_id: key(64) },
    primaryKey: ['token_id'],
    indexes: [{ name: 'visitors_by_portal', columns: ['member_id'] }],
  })
}
