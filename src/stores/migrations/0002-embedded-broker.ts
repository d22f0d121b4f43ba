import type { Kysely } from 'kysely'
import { bytes, integer, key, makeTable, optional, serial, text, time } from './table.ts'

/**
 * The tables of the embedded broker (`brokers/embedded.ts`). A message's state is 0 ready, 1 handed out, 2 delayed;
 * `ready` serves "the next messages of a queue", `delayed` and `leased` "whose time is up".
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'embedded_queues', {
    columns: { name: key(255), durable: integer, type: key(32), arguments: text },
    primaryKey: ['name'],
  })
  await makeTable(db, 'embedded_exchanges', {
    columns: { name: key(255), type: key(32), durable: integer },
    primaryKey: ['name'],
  })
  await makeTable(db, 'embedded_bindings', {
    columns: { exchange: key(255), queue: key(255), routing_key: key(255) },
    primaryKey: ['exchange', 'queue', 'routing_key'],
  })
  await makeTable(db, 'embedded_messages', {
    columns: {
      id: serial,
      queue: key(255),
      state: integer,
      priority: integer,
      exchange: key(255),
      routing_key: key(255),
      properties: text,
      body: bytes,
      delivery_count: integer,
      visible_at: time,
      expires_at: optional(time),
      owner: optional(key(64)),
      lease_until: optional(time),
    },
    indexes: [
      { name: 'embedded_messages_ready', columns: ['queue', 'priority desc', 'id'], where: ['state', 0] },
      { name: 'embedded_messages_delayed', columns: ['visible_at'], where: ['state', 2] },
      { name: 'embedded_messages_leased', columns: ['owner', 'lease_until'], where: ['state', 1] },
      { name: 'embedded_messages_expiring', columns: ['expires_at'], where: ['expires_at', 'not null'] },
    ],
  })
}
