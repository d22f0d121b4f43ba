import type { Kysely } from 'kysely'
import { integer, key, makeTable, optional, text, time } from './table.ts'

/** How far each source of events has been read, and the offline queues that are to be drained. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'event_cursors', {
    columns: { name: key(255), value: text, updated_at: time },
    primaryKey: ['name'],
  })
  await makeTable(db, 'offline_sources', {
    columns: { id: key(200), member_id: key(64), client_id: key(128), seen_at: time },
    primaryKey: ['id'],
    indexes: [{ name: 'offline_sources_by_age', columns: ['seen_at'] }],
  })
  await makeTable(db, 'offline_pumps', {
    columns: {
      id: key(300),
      member_id: key(64),
      client_id: key(128),
      connector: key(100),
      scheme: key(16),
      scheme_until: time,
      due_at: time,
      idle_polls: integer,
      trouble: optional(key(100)),
    },
    primaryKey: ['id'],
    indexes: [
      { name: 'offline_pumps_by_portal', columns: ['member_id', 'client_id'] },
      { name: 'offline_pumps_due', columns: ['due_at'] },
    ],
  })
}
