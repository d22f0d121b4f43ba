import type { Kysely } from 'kysely'
import { integer, key, level, makeTable, optional, text, time } from './table.ts'

/** The ledger of commands, the levels of request counters, and the mark of the process that holds the store. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'ledger', {
    columns: {
      key: key(700),
      state: key(16),
      request_hash: key(255),
      started_at: time,
      finished_at: optional(time),
      reply: optional(text),
    },
    primaryKey: ['key'],
    indexes: [{ name: 'ledger_by_age', columns: ['started_at'] }],
  })
  await makeTable(db, 'buckets', {
    columns: { key: key(255), level, updated_at: time },
    primaryKey: ['key'],
  })
  await makeTable(db, 'store_owner', {
    columns: { id: integer, owner: key(64), host: key(255), pid: integer, seen_at: time },
    primaryKey: ['id'],
  })
}
