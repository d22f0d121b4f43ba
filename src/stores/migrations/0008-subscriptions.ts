import type { Kysely } from 'kysely'
import { key, makeTable, text, time } from './table.ts'

/** What was last applied to each portal, and what of it is bound there by us. Holds no secret. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'subscriptions', {
    columns: {
      member_id: key(64),
      client_id: key(128),
      document: text,
      base: text,
      remembered: text,
      applied_at: time,
    },
    primaryKey: ['member_id', 'client_id'],
  })
}
