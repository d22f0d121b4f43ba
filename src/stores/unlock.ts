import { randomBytes } from 'node:crypto'
import { dirname, join } from 'node:path'
import { parseStoreAddress } from './address.ts'
import { readSecretKeys } from './key-file.ts'
import { openSealer } from './seal.ts'
import { openSecrets, type Secrets } from './secrets.ts'
import type { Store } from './store.ts'

/** What the settings say about secrets. */
export interface UnlockOptions {
  /** The address that the store was opened by. */
  readonly address: string
  /** The keys of the settings, if any. */
  readonly given: string | undefined
  /** A key must be given, none is made. */
  readonly production: boolean
  readonly now: () => number
}

/**
 * The secrets of an open store, under the keys given or else those of the file `secret.key` beside an SQLite file, which
 * is made when there is none. A database on a server needs a key that is given, as others may use it; a store in memory
 * gets one that is forgotten with it. Rejects with a `ConfigError`, or as `openSecrets`.
 */
export async function unlockStore(store: Store, options: UnlockOptions): Promise<Secrets> {
  return openSecrets(store.db, openSealer({ keys: keysFor(options) }), options.now)
}

function keysFor({ address, given, production }: UnlockOptions): string {
  const where = parseStoreAddress(address)
  if (where.engine !== 'sqlite') return readSecretKeys({ given, production: true, file: '' })
  if (where.path === ':memory:' && given === undefined && !production)
    return `memory:${randomBytes(32).toString('base64')}`
  return readSecretKeys({ given, production, file: join(dirname(where.path), 'secret.key') })
}

/** A folder of our own on this machine, beside the store when that is a file: `spool` for tokens on their way. */
export function folderBeside(address: string, name: string): string {
  const where = parseStoreAddress(address)
  const file = where.engine === 'sqlite' && where.path !== ':memory:'
  return file ? join(dirname(where.path), name) : join('data', name)
}
