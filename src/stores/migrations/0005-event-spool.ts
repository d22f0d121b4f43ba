import type { Kysely } from 'kysely'
import { key, makeTable, serial, text, time } from './table.ts'

/** Events that wait for the broker, in the order in which they came. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'event_spool', {
    columns: { id: serial, member_id: key(64), event_key: key(64), event: text, spooled_at: time },
    indexes: [
      { name: 'event_spool_by_portal', columns: ['member_id', 'id'] },
      { name: 'event_spool_by_key', columns: ['event_key'] },
    ],
  })
}
