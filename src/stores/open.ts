import { type Dialect, Kysely } from 'kysely'
import { parseStoreAddress, type StoreAddress } from './address.ts'
import { engineOf } from './dialects/engine.ts'
import { guarded } from './dialects/guard.ts'
import { migrate } from './migrate.ts'
import { type Ownership, takeOwnership } from './ownership.ts'
import type { StoreTables } from './schema.ts'
import type { Store } from './store.ts'

export interface OpenStoreOptions {
  readonly now: () => number
  /** Take it for this process alone, as the running bridge does; command-line tools say `false`. True unless said otherwise. */
  readonly exclusive?: boolean
  /** `normal` survives a killed process, `full` also a power cut, and is slower. `normal` unless said otherwise. */
  readonly sync?: 'normal' | 'full'
  /** How long to wait for another process that is writing; 5000. */
  readonly busyTimeoutMs?: number
  /** After this long without a sign of life the holder of a store counts as gone; 30,000. */
  readonly ownerStaleMs?: number
  /** Told when another process took the store over because this one had been standing still; stop working then. */
  readonly onLost?: () => void
}

/**
 * Opens a store and brings its tables up to date: `sqlite:./bridge.db`, `sqlite::memory:`, or a database on a server
 * (`postgres://`, `mysql://`, `mariadb://`, `mssql://`). Rejects with a `ConfigError` for an address that it cannot use,
 * `STORE_IN_USE` when another running bridge holds an SQLite file, `SCHEMA_NEWER` when a newer program wrote it,
 * `STORE_UNAVAILABLE` or `STORE_REFUSED` when it cannot be opened.
 *
 * Queries of an open store reject with a `StoreError`; after a lost connection the next one takes a new connection.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<Store> {
  const address = parseStoreAddress(url)
  const inMemory = address.engine === 'sqlite' && address.path === ':memory:'
  const db = new Kysely<StoreTables>({ dialect: await dialectFor(address, options) })
  const { shared } = engineOf(db)
  let ownership: Ownership | undefined
  try {
    await migrate(db as unknown as Kysely<unknown>, options.now)
    if (!shared && !inMemory && options.exclusive !== false) {
      ownership = await takeOwnership(db, {
        now: options.now,
        staleMs: options.ownerStaleMs ?? 30_000,
        onLost: options.onLost ?? (() => {}),
      })
    }
  } catch (error) {
    await db.destroy().catch(() => {})
    throw error
  }

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    await ownership?.release().catch(() => {})
    await db.destroy()
  }
  const listen = await listenerFor(address)
  const store: Store = {
    db,
    ...(listen === undefined ? {} : { listen }),
    features: { shared, durable: !inMemory },
    label: address.label,
    close() {
      closing ??= close()
      return closing
    },
    [Symbol.asyncDispose]: () => store.close(),
  }
  return store
}

async function listenerFor(address: StoreAddress): Promise<Store['listen']> {
  if (address.engine !== 'postgres') return undefined
  const { listenPostgres } = await import('./dialects/postgres-listen.ts')
  return (table, onTold) => listenPostgres(address, table, onTold)
}

/** A driver is loaded when its database is used. */
async function dialectFor(address: StoreAddress, options: OpenStoreOptions): Promise<Dialect> {
  const { label } = address
  if (address.engine === 'sqlite') {
    const { sqliteDialect, sqliteEngine } = await import('./dialects/sqlite.ts')
    const dialect = sqliteDialect({
      path: address.path,
      sync: options.sync ?? 'normal',
      busyTimeoutMs: options.busyTimeoutMs ?? 5000,
    })
    return guarded(dialect, { engine: sqliteEngine, label })
  }
  const { password } = address
  if (address.engine === 'postgres') {
    const { postgresDialect, postgresEngine } = await import('./dialects/postgres.ts')
    return guarded(postgresDialect(address), { engine: postgresEngine, label, password })
  }
  if (address.engine === 'mysql') {
    const { mysqlDialect, mysqlEngine } = await import('./dialects/mysql.ts')
    return guarded(mysqlDialect(address), { engine: mysqlEngine, label, password })
  }
  const { mssqlDialect, mssqlEngine } = await import('./dialects/mssql.ts')
  return guarded(mssqlDialect(address), { engine: mssqlEngine, label, password })
}
