import { type Kysely, sql } from 'kysely'
import { StoreError } from '../model/errors.ts'
import { up as ledgerAndBuckets } from './migrations/0001-ledger-and-buckets.ts'
import { up as embeddedBroker } from './migrations/0002-embedded-broker.ts'

interface Migration {
  readonly id: number
  readonly name: string
  up(db: Kysely<unknown>): Promise<void>
}

/** In the order they run. Add at the end; one that has been released is never edited. */
export const MIGRATIONS: readonly Migration[] = [
  { id: 1, name: 'ledger-and-buckets', up: ledgerAndBuckets },
  { id: 2, name: 'embedded-broker', up: embeddedBroker },
]

interface MigrationTables {
  schema_migrations: { id: number; name: string; applied_at: number }
}

/**
 * Brings the database to the schema of this program, one transaction a step. Several processes may do it at once: each
 * step takes the write lock and looks again. Rejects with `SCHEMA_NEWER` when a newer program has been at work.
 */
export async function migrate(
  database: Kysely<unknown>,
  now: () => number,
  migrations = MIGRATIONS,
): Promise<void> {
  const db = database as Kysely<MigrationTables>
  await db.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('id', 'integer', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('applied_at', 'bigint', (column) => column.notNull())
    .execute()

  const newest = migrations.at(-1)?.id ?? 0
  let reached = await schemaVersion(db)
  if (reached > newest) {
    throw new StoreError(
      'SCHEMA_NEWER',
      `The store was written by a newer program: its schema is number ${reached}, this program knows ${newest}`,
      {
        hint: 'Start the newer version, or restore a backup that was made before the upgrade.',
        context: { reached, newest },
      },
    )
  }
  for (const migration of migrations) {
    if (migration.id <= reached) continue
    await db.transaction().execute(async (transaction) => {
      // Another process may have been quicker.
      if ((await schemaVersion(transaction)) >= migration.id) return
      await migration.up(transaction as unknown as Kysely<unknown>)
      const row = { id: migration.id, name: migration.name, applied_at: now() }
      await transaction.insertInto('schema_migrations').values(row).execute()
    })
    reached = migration.id
  }
}

async function schemaVersion(db: Kysely<MigrationTables>): Promise<number> {
  const row = await db
    .selectFrom('schema_migrations')
    .select(sql<number | null>`max(id)`.as('id'))
    .executeTakeFirst()
  return row?.id ?? 0
}
