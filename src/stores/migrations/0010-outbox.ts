import { type Kysely, sql } from 'kysely'
import { engineOf } from '../dialects/engine.ts'
import { defaulting, integer, key, makeTable, NOW, optional, serial, text, time } from './table.ts'

/**
 * Commands and replies as rows, for systems that would rather write a row than speak AMQP. Others insert here: a row
 * needs no more than a method, and what is wrong with it is found later, so that no check of ours stops their transaction.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'b24_outbox', {
    columns: {
      id: serial,
      portal: optional(key(255)),
      method: optional(key(255)),
      params: optional(text),
      action: optional(key(16)),
      as_user: optional(key(64)),
      options: optional(text),
      meta: optional(text),
      order_key: optional(key(255)),
      priority: optional(key(16)),
      message_id: optional(key(255)),
      callback: optional(text),
      then_run: optional(text),
      not_before: optional(time),
      created_at: defaulting(time, NOW),
      state: defaulting(key(16), 'new'),
      pending: defaulting(integer, 1),
      attempts: defaulting(integer, 0),
      last_error: optional(text),
      owner: optional(key(255)),
      lease_until: optional(time),
      finished_at: optional(time),
      chain_id: optional(time),
      chain_step: defaulting(integer, 0),
      chain_values: optional(text),
    },
    indexes: [
      { name: 'b24_outbox_pending', columns: ['id'], where: ['pending', 1] },
      { name: 'b24_outbox_order', columns: ['order_key', 'id'], where: ['pending', 1] },
      { name: 'b24_outbox_message', columns: ['message_id', 'id'], where: ['pending', 1] },
      { name: 'b24_outbox_finished', columns: ['finished_at'], where: ['finished_at', 'not null'] },
      { name: 'b24_outbox_chain', columns: ['chain_id'], where: ['chain_id', 'not null'] },
    ],
  })
  await makeTable(db, 'b24_inbox', {
    columns: {
      id: serial,
      kind: key(16),
      outbox_id: optional(time),
      chain_id: optional(time),
      chain_step: optional(integer),
      message_id: optional(key(255)),
      portal: optional(key(255)),
      name: optional(key(255)),
      outcome: optional(key(16)),
      status_code: optional(integer),
      result: optional(text),
      error_code: optional(key(255)),
      error: optional(text),
      meta: optional(text),
      details: optional(text),
      created_at: defaulting(time, NOW),
      processed: defaulting(integer, 0),
      callback: optional(text),
      callback_state: optional(key(16)),
      callback_attempts: defaulting(integer, 0),
      callback_at: optional(time),
      callback_error: optional(text),
    },
    indexes: [
      { name: 'b24_inbox_new', columns: ['id'], where: ['processed', 0] },
      { name: 'b24_inbox_outbox', columns: ['outbox_id'] },
      { name: 'b24_inbox_message', columns: ['message_id'] },
      { name: 'b24_inbox_age', columns: ['created_at'] },
      { name: 'b24_inbox_callbacks', columns: ['callback_at'], where: ['callback_at', 'not null'] },
    ],
  })
  if (engineOf(db).notifications) await makeTriggers(db)
}

/** An insert into either table is told on the channel of its name. https://www.postgresql.org/docs/current/sql-notify.html */
async function makeTriggers(db: Kysely<unknown>): Promise<void> {
  await sql`create or replace function b24_tell_insert() returns trigger language plpgsql as
    $$ begin perform pg_notify(tg_table_name, ''); return null; end $$`.execute(db)
  for (const table of ['b24_outbox', 'b24_inbox'])
    await sql`create trigger ${sql.ref(`${table}_told`)} after insert on ${sql.table(table)}
      for each statement execute function b24_tell_insert()`.execute(db)
}
