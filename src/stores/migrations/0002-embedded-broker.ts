import { type Kysely, sql } from 'kysely'

/**
 * The tables of the embedded broker (`brokers/embedded.ts`). A message's state is 0 ready, 1 handed out, 2 delayed;
 * `ready` serves "the next messages of a queue", `delayed` and `leased` "whose time is up".
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('embedded_queues')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('durable', 'integer', (column) => column.notNull())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('arguments', 'text', (column) => column.notNull())
    .execute()

  await db.schema
    .createTable('embedded_exchanges')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('type', 'text', (column) => column.notNull())
    .addColumn('durable', 'integer', (column) => column.notNull())
    .execute()

  await db.schema
    .createTable('embedded_bindings')
    .addColumn('exchange', 'text', (column) => column.notNull())
    .addColumn('queue', 'text', (column) => column.notNull())
    .addColumn('routing_key', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('embedded_bindings_key', ['exchange', 'queue', 'routing_key'])
    .execute()

  await db.schema
    .createTable('embedded_messages')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('queue', 'text', (column) => column.notNull())
    .addColumn('state', 'integer', (column) => column.notNull())
    .addColumn('priority', 'integer', (column) => column.notNull())
    .addColumn('exchange', 'text', (column) => column.notNull())
    .addColumn('routing_key', 'text', (column) => column.notNull())
    .addColumn('properties', 'text', (column) => column.notNull())
    .addColumn('body', 'blob', (column) => column.notNull())
    .addColumn('delivery_count', 'integer', (column) => column.notNull())
    .addColumn('visible_at', 'bigint', (column) => column.notNull())
    .addColumn('expires_at', 'bigint')
    .addColumn('owner', 'text')
    .addColumn('lease_until', 'bigint')
    .execute()
  await sql`create index embedded_messages_ready on embedded_messages (queue, priority desc, id) where state = 0`.execute(
    db,
  )
  await sql`create index embedded_messages_delayed on embedded_messages (visible_at) where state = 2`.execute(
    db,
  )
  await sql`create index embedded_messages_leased on embedded_messages (owner, lease_until) where state = 1`.execute(
    db,
  )
  await sql`create index embedded_messages_expiring on embedded_messages (expires_at) where expires_at is not null`.execute(
    db,
  )
}
