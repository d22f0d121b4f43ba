import type { Kysely } from 'kysely'
import { integer, key, makeTable, text, time } from './table.ts'

/** Queues that hold the backlog of one portal; messages that a process died with, and how often. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'lane_queues', {
    columns: { queue: key(255), domain: text, used_at: time },
    primaryKey: ['queue'],
  })
  await makeTable(db, 'suspects', {
    columns: { id: key(255), tries: integer, seen_at: time },
    primaryKey: ['id'],
  })
}
