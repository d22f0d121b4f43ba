import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Kysely, sql } from 'kysely'
import { onTestFinished } from 'vitest'
import { parseStoreAddress, type ServerAddress } from '../../src/stores/address.ts'
import { mssql, mysql, postgres } from './engines.ts'

/** Somewhere for a test to keep its stores. */
export interface TestDatabase {
  readonly name: string
  /** Why its tests are skipped, for titles; empty when they run. */
  readonly note: string
  readonly skip: boolean
  /** A new, empty place, gone after `drop`. */
  create(): Promise<{ readonly url: string; drop(): Promise<void> }>
}

/** The databases that the store is proved on: SQLite always, servers where there are any. */
export const DATABASES: readonly TestDatabase[] = [
  { name: 'SQLite', note: '', skip: false, create: createFile },
  onServer('PostgreSQL', postgres, (name) => sql`drop database ${sql.table(name)} with (force)`),
  onServer('MariaDB', mysql, (name) => sql`drop database ${sql.table(name)}`),
  onServer('SQL Server', mssql, (name) => sql`drop database ${sql.table(name)}`),
]

async function createFile(): Promise<{ url: string; drop(): Promise<void> }> {
  const folder = mkdtempSync(join(tmpdir(), 'b24-store-'))
  return {
    url: `sqlite:${join(folder, 'bridge.db')}`,
    drop: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

function onServer(
  name: string,
  { url, note }: { readonly url: string | undefined; readonly note: string },
  dropping: (name: string) => { execute(db: Kysely<unknown>): Promise<unknown> },
): TestDatabase {
  return {
    name,
    note,
    skip: url === undefined,
    async create() {
      const database = `b24_test_${randomBytes(6).toString('hex')}`
      await asAdmin(url!, (db) => sql`create database ${sql.table(database)}`.execute(db))
      const own = new URL(url!)
      own.pathname = `/${database}`
      return { url: own.href, drop: () => asAdmin(url!, (db) => dropping(database).execute(db)) }
    },
  }
}

/** A place that goes with the test that asked for it, however it ends. */
export async function createFor(database: TestDatabase): Promise<{ readonly url: string }> {
  const { url, drop } = await database.create()
  onTestFinished(drop)
  return { url }
}

/** Runs something on the server itself. */
export async function asAdmin(url: string, act: (db: Kysely<unknown>) => Promise<unknown>): Promise<void> {
  const db = new Kysely<unknown>({ dialect: await dialectOf(parseStoreAddress(url) as ServerAddress) })
  try {
    await act(db)
  } finally {
    await db.destroy()
  }
}

async function dialectOf(address: ServerAddress) {
  if (address.engine === 'postgres') {
    return (await import('../../src/stores/dialects/postgres.ts')).postgresDialect(address)
  }
  if (address.engine === 'mysql')
    return (await import('../../src/stores/dialects/mysql.ts')).mysqlDialect(address)
  return (await import('../../src/stores/dialects/mssql.ts')).mssqlDialect(address)
}
