import { type Dialect, Kysely } from 'kysely'
import { parseStoreAddress, type StoreAddress } from './address.ts'
import { guarded } from './dialects/guard.ts'

/** What stood in somebody else's table. */
export interface ForeignTable {
  /** The address for people. */
  readonly label: string
  readonly rows: readonly Readonly<Record<string, unknown>>[]
}

type AnyTable = Record<string, Record<string, unknown>>

/**
 * Every row of a table in a database of another program, by an address as `openStore` takes it. Nothing is migrated and
 * nothing written: servers are asked in a transaction that may only read, where they have such. Rejects as `openStore`,
 * `STORE_FAILED` when there is no such table.
 */
export async function readForeignTable(url: string, table: string): Promise<ForeignTable> {
  const address = parseStoreAddress(url)
  const db = new Kysely<AnyTable>({ dialect: await dialectFor(address) })
  try {
    const rows =
      address.engine === 'postgres' || address.engine === 'mysql'
        ? await db
            .transaction()
            .setAccessMode('read only')
            .execute((transaction) => transaction.selectFrom(table).selectAll().execute())
        : await db.selectFrom(table).selectAll().execute()
    return { label: address.label, rows }
  } finally {
    await db.destroy().catch(() => {})
  }
}

async function dialectFor(address: StoreAddress): Promise<Dialect> {
  const { label } = address
  if (address.engine === 'sqlite') {
    const { sqliteEngine } = await import('./dialects/sqlite.ts')
    const { sqliteReader } = await import('./dialects/sqlite-reader.ts')
    return guarded(sqliteReader(address.path), { engine: sqliteEngine, label })
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
