import type { Kysely } from 'kysely'
import { bytes, integer, key, makeTable, optional, text, time } from './table.ts'

/**
 * What was set aside, to be looked at and sent again. Bodies stand apart and in parts, so that lists never read them and
 * no statement grows past what a server takes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'dead_letters', {
    columns: {
      id: key(64),
      kind: key(16),
      state: key(16),
      reason: key(64),
      description: optional(text),
      hint: optional(text),
      unsure: integer,
      queue: optional(key(255)),
      contract: optional(key(32)),
      portal: optional(key(255)),
      method: optional(key(255)),
      message_id: optional(key(255)),
      correlation_id: optional(key(255)),
      target_exchange: optional(key(255)),
      target_key: optional(key(255)),
      attempts: integer,
      deliveries: integer,
      body_bytes: integer,
      sent_at: optional(time),
      died_at: time,
      stored_at: time,
      retries: integer,
      retried_at: optional(time),
      retried_by: optional(key(255)),
      claimed_until: time,
      retry_of: optional(key(64)),
      properties: text,
      secret_headers: optional(text),
    },
    primaryKey: ['id'],
    indexes: [
      { name: 'dead_letters_by_age', columns: ['died_at', 'id'] },
      { name: 'dead_letters_by_state', columns: ['state', 'died_at', 'id'] },
      { name: 'dead_letters_by_reason', columns: ['reason', 'died_at'] },
      { name: 'dead_letters_by_portal', columns: ['portal', 'died_at'] },
      { name: 'dead_letters_by_method', columns: ['method', 'died_at'] },
      { name: 'dead_letters_by_store', columns: ['stored_at'] },
    ],
  })
  await makeTable(db, 'dead_letter_parts', {
    columns: { letter_id: key(64), part: integer, content: bytes },
    primaryKey: ['letter_id', 'part'],
  })
}
