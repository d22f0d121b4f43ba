import type { Kysely } from 'kysely'
import { key, makeTable, optional, text, time } from './table.ts'

/** What portals have told one process to leave alone, for all that share the store. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'portal_rests', {
    columns: {
      id: key(64),
      domain: key(255),
      method: optional(key(255)),
      credential: optional(key(64)),
      code: text,
      until: time,
    },
    primaryKey: ['id'],
    indexes: [{ name: 'portal_rests_by_domain', columns: ['domain'] }],
  })
}
