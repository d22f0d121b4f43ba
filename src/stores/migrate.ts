import { type Kysely, sql } from 'kysely'
import { StoreError } from '../model/errors.ts'
import { up as ledgerAndBuckets } from './migrations/0001-ledger-and-buckets.ts'
import { up as embeddedBroker } from './migrations/0002-embedded-broker.ts'
import { up as portalsAndTokens } from './migrations/0003-portals-and-tokens.ts'
import { up as deadLetters } from './migrations/0004-dead-letters.ts'
import { up as eventSpool } from './migrations/0005-event-spool.ts'
import { up as eventSources } from './migrations/0006-event-sources.ts'
import { up as instances } from './migrations/0007-instances.ts'
import { up as subscriptions } from './migrations/0008-subscriptions.ts'
import { up as laneQueues } from './migrations/0009-lane-queues.ts'
import { up as outbox } from './migrations/0010-outbox.ts'
import { up as portalRests } from './migrations/0011-portal-rests.ts'
import { up as eventArrivals } from './migrations/0012-event-arrivals.ts'
import { up as visitors } from './migrations/0013-visitors.ts'
import { up as ledgerClaims } from './migrations/0014-ledger-claims.ts'
import { up as trials } from './migrations/0015-trials.ts'
import { integer, key, makeTable, time } from './migrations/table.ts'

interface Migration {
  readonly id: number
  readonly name: string
  up(db: Kysely<unknown>): Promise<void>
}

/** In the order they run. Add at the end; one that has been released is never edited. */
export const MIGRATIONS: readonly Migration[] = [
  { id: 1, name: 'ledger-and-buckets', up: ledgerAndBuckets },
  { id: 2, name: 'embedded-broker', up: embeddedBroker },
  { id: 3, name: 'portals-and-tokens', up: portalsAndTokens },
  { id: 4, name: 'dead-letters', up: deadLetters },
  { id: 5, name: 'event-spool', up: eventSpool },
  { id: 6, name: 'event-sources', up: eventSources },
  { id: 7, name: 'instances', up: instances },
  { id: 8, name: 'subscriptions', up: subscriptions },
  { id: 9, name: 'lane-queues', up: laneQueues },
  { id: 10, name: 'outbox', up: outbox },
  { id: 11, name: 'portal-rests', up: portalRests },
  { id: 12, name: 'event-arrivals', up: eventArrivals },
  { id: 13, name: 'visitors', up: visitors },
  { id: 14, name: 'ledger-claims', up: ledgerClaims },
  { id: 15, name: 'trials', up: trials },
]

interface MigrationTables {
  schema_migrations: { id: number; name: string; applied_at: number }
}

type Migrations = Kysely<MigrationTables>

const LOCK = { lockTable: 'schema_migrations', lockRowId: 'migration_lock' }

/**
 * Brings the database to the schema of this program. Several processes may do it at once: each step is taken under the
 * engine's own lock, and looks again. One transaction a step, where the engine can take such statements back; elsewhere
 * (MySQL) a step that was cut short is repeated. Rejects with `SCHEMA_NEWER` when a newer program has been at work.
 */
export async function migrate(
  database: Kysely<unknown>,
  now: () => number,
  migrations = MIGRATIONS,
): Promise<void> {
  const db = database as Migrations
  const newest = migrations.at(-1)?.id ?? 0
  let reached = await existingVersion(db)
  if (reached === undefined) {
    await locked(db, (one) => makeTable(one as Kysely<unknown>, 'schema_migrations', VERSIONS))
    reached = await schemaVersion(db)
  }
  if (reached > newest) throw newer(reached, newest)
  for (const migration of migrations) {
    if (migration.id <= reached) continue
    await locked(db, async (one) => {
      // Another process may have been quicker.
      if ((await schemaVersion(one)) >= migration.id) return
      await migration.up(one as Kysely<unknown>)
      const row = { id: migration.id, name: migration.name, applied_at: now() }
      await one.insertInto('schema_migrations').values(row).execute()
    })
    reached = migration.id
  }
}

const VERSIONS = {
  columns: { id: integer, name: key(255), applied_at: time },
  primaryKey: ['id'],
  ifMissing: true,
}

/** Only one process at a time is inside: the lock belongs to the connection, so that it outlasts the commit. */
function locked(db: Migrations, act: (one: Migrations) => Promise<void>): Promise<void> {
  const { adapter } = db.getExecutor()
  return db.connection().execute(async (one) => {
    await adapter.acquireMigrationLock(one, LOCK)
    try {
      await (adapter.supportsTransactionalDdl ? one.transaction().execute(act) : act(one))
    } finally {
      // A connection that broke has given the lock back.
      await adapter.releaseMigrationLock(one, LOCK).catch(() => {})
    }
  })
}

/** `undefined` when nobody has migrated yet. A database that cannot be asked is told by the next statement. */
async function existingVersion(db: Migrations): Promise<number | undefined> {
  try {
    return await schemaVersion(db)
  } catch (error) {
    if (error instanceof StoreError && error.code !== 'STORE_FAILED') throw error
    return undefined
  }
}

async function schemaVersion(db: Migrations): Promise<number> {
  const row = await db
    .selectFrom('schema_migrations')
    .select(sql<number | null>`max(id)`.as('id'))
    .executeTakeFirst()
  return row?.id ?? 0
}

function newer(reached: number, newest: number): StoreError {
  return new StoreError(
    'SCHEMA_NEWER',
    `The store was written by a newer program: its schema is number ${reached}, this program knows ${newest}`,
    {
      hint: 'Start the newer version, or restore a backup that was made before the upgrade.',
      context: { reached, newest },
    },
  )
}
