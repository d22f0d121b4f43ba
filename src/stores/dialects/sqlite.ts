import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type SqliteDatabase, SqliteDialect, type SqliteStatement } from 'kysely'
import Database from 'libsql'

export interface SqliteOptions {
  /** A file, made when missing (with its folder), or `:memory:`. */
  readonly path: string
  /**
   * `normal`: a commit survives the death of the process; the last ones may be lost with the machine's power. `full`:
   * each commit is on the disk before it counts, a few milliseconds each. https://www.sqlite.org/pragma.html#pragma_synchronous
   */
  readonly sync: 'normal' | 'full'
  /** How long to wait for another process that is writing. The whole program stands still meanwhile. */
  readonly busyTimeoutMs: number
}

/** SQLite over a file, with a write-ahead log: readers and one writer at a time. https://www.sqlite.org/wal.html */
export function sqliteDialect(options: SqliteOptions): SqliteDialect {
  return new SqliteDialect({ database: async () => openDatabase(options) })
}

function openDatabase({ path, sync, busyTimeoutMs }: SqliteOptions): SqliteDatabase {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
  const database = new Database(path)
  database.pragma(`busy_timeout = ${Math.trunc(busyTimeoutMs)}`)
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${sync === 'full' ? 'FULL' : 'NORMAL'}`)
  database.pragma('foreign_keys = ON')
  return new PreparedDatabase(database)
}

const MOST_STATEMENTS = 200

/** Keeps prepared statements, takes the write lock when a transaction begins, and hands blobs out as Buffers. */
class PreparedDatabase implements SqliteDatabase {
  readonly #database: Database.Database
  readonly #statements = new Map<string, SqliteStatement>()

  constructor(database: Database.Database) {
    this.#database = database
  }

  prepare(sql: string): SqliteStatement {
    const kept = this.#statements.get(sql)
    if (kept !== undefined) return kept
    // A transaction that reads first and writes later would fail, not wait, when another process wrote in between.
    // https://www.sqlite.org/lang_transaction.html#immediate
    const statement = new Statement(this.#database.prepare(sql === 'begin' ? 'begin immediate' : sql))
    if (this.#statements.size >= MOST_STATEMENTS) this.#statements.clear()
    this.#statements.set(sql, statement)
    return statement
  }

  close(): void {
    this.#statements.clear()
    this.#database.close()
  }
}

type Row = Record<string, unknown>

class Statement implements SqliteStatement {
  readonly #statement: Database.Statement<unknown[]>
  readonly reader: boolean

  constructor(statement: Database.Statement<unknown[]>) {
    this.#statement = statement
    this.reader = statement.reader
  }

  all(parameters: readonly unknown[]): unknown[] {
    const rows = this.#statement.all(parameters) as Row[]
    for (const row of rows) withBuffers(row)
    return rows
  }

  run(parameters: readonly unknown[]): { changes: number | bigint; lastInsertRowid: number | bigint } {
    return this.#statement.run(parameters)
  }

  *iterate(parameters: readonly unknown[]): IterableIterator<unknown> {
    for (const row of this.#statement.iterate(parameters)) yield withBuffers(row as Row)
  }
}

function withBuffers(row: Row): Row {
  for (const column in row) {
    const value = row[column]
    if (value instanceof ArrayBuffer) row[column] = Buffer.from(value)
  }
  return row
}
