import type { Kysely } from 'kysely'
import { key, makeTable, serial, time } from './table.ts'

/** Which objects of portals events have told of lately, so that those which nobody told of can be found. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'event_arrivals', {
    columns: {
      id: serial,
      member_id: key(64),
      entity: key(40),
      object_id: key(40),
      act: key(8),
      happened_at: time,
      noted_at: time,
    },
    indexes: [
      { name: 'event_arrivals_by_object', columns: ['member_id', 'entity', 'object_id'] },
      { name: 'event_arrivals_by_age', columns: ['noted_at'] },
    ],
  })
}
