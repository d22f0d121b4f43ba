import { Kysely } from 'kysely'
import { BridgeError, ConfigError, StoreError } from '../model/errors.ts'
import { sqliteDialect } from './dialects/sqlite.ts'
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
 * Opens a store and brings its tables up to date: `sqlite:./bridge.db`, `sqlite:/var/lib/bridge.db` or
 * `sqlite::memory:`. Rejects with a `ConfigError` for an address that it cannot use, `STORE_IN_USE` when another running
 * bridge holds it, `SCHEMA_NEWER` when a newer program wrote it, `STORE_UNAVAILABLE` when it cannot be opened.
 */
export async function openStore(url: string, options: OpenStoreOptions): Promise<Store> {
  const path = sqlitePath(url)
  const inMemory = path === ':memory:'
  const dialect = sqliteDialect({
    path,
    sync: options.sync ?? 'normal',
    busyTimeoutMs: options.busyTimeoutMs ?? 5000,
  })
  const db = new Kysely<StoreTables>({ dialect })
  let ownership: Ownership | undefined
  try {
    await migrate(db as unknown as Kysely<unknown>, options.now)
    if (!inMemory && options.exclusive !== false) {
      ownership = await takeOwnership(db, {
        now: options.now,
        staleMs: options.ownerStaleMs ?? 30_000,
        onLost: options.onLost ?? (() => {}),
      })
    }
  } catch (error) {
    await db.destroy().catch(() => {})
    throw error instanceof BridgeError ? error : unavailable(path, error)
  }

  let closing: Promise<void> | undefined
  async function close(): Promise<void> {
    await ownership?.release().catch(() => {})
    await db.destroy()
  }
  const store: Store = {
    db,
    features: { shared: false, durable: !inMemory },
    label: `sqlite:${path}`,
    close() {
      closing ??= close()
      return closing
    },
    [Symbol.asyncDispose]: () => store.close(),
  }
  return store
}

function sqlitePath(url: string): string {
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (scheme !== 'sqlite') {
    // The address may hold a password: it is not repeated.
    const what = scheme === undefined ? 'has no scheme' : `begins with ${scheme}:`
    throw new ConfigError(
      [`The store address ${what}; supported today: sqlite:./file.db and sqlite::memory:`],
      { hint: 'PostgreSQL, MySQL/MariaDB and SQL Server follow in later versions.' },
    )
  }
  const path = url.slice('sqlite:'.length).replace(/^\/\/(?=\/|\.)/, '')
  if (path === '') throw new ConfigError(['The store address names no file: write sqlite:./bridge.db'])
  return path
}

function unavailable(path: string, error: unknown): StoreError {
  const reason = error instanceof Error ? error.message : String(error)
  return new StoreError('STORE_UNAVAILABLE', `The store ${path} cannot be opened: ${reason}`, {
    hint: 'Check that the folder exists, that this user may write there, and that the file is an SQLite database.',
    cause: error,
  })
}
