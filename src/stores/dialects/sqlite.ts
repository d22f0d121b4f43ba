import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  type DialectAdapter,
  type Driver,
  type QueryCompiler,
  type QueryResult,
  type SelectQueryNode,
  SqliteAdapter,
  type SqliteDatabase,
  SqliteDialect,
  SqliteDriver,
  SqliteQueryCompiler,
  type SqliteStatement,
  sql,
} from 'kysely'
import Database from 'libsql'
import type { ColumnKind, DriverError, Engine, Fault } from './engine.ts'

export interface SqliteOptions {
  /** A file, made when missing (with its folder), or `:memory:`. */
  readonly path: string
  /**
   * `normal`: a commit survives the death of the process; the last ones may be lost with the machine's power. `full`:
   * each commit is on the disk before it counts, a few milliseconds each. https://www.sqlite.org/pragma.html#pragma_synchronous
   */
  readonly sync: 'normal' | 'full'
  /** How long a statement waits for another process that is writing before it fails. */
  readonly busyTimeoutMs: number
}

const TYPES: Readonly<Record<ColumnKind, string>> = {
  key: 'text',
  text: 'text',
  integer: 'integer',
  moment: 'bigint',
  level: 'double precision',
  bytes: 'blob',
  serial: 'integer primary key autoincrement',
}

/** https://www.sqlite.org/rescode.html */
function faultOf({ code, message }: DriverError): Fault {
  if (typeof code !== 'string') return /destroyed|not open/.test(message) ? 'unavailable' : 'failed'
  if (code.startsWith('SQLITE_BUSY')) return 'busy'
  if (code.startsWith('SQLITE_CONSTRAINT')) return 'conflict'
  return /^SQLITE_(?:CANTOPEN|IOERR|FULL|READONLY|NOTADB|CORRUPT|PERM)/.test(code) ? 'unavailable' : 'failed'
}

export const sqliteEngine: Engine = {
  shared: false,
  partialIndexes: true,
  notifications: false,
  mostParameters: 30_000,
  now: sql<number>`cast((julianday('now') - 2440587.5) * 86400000 as integer)`,
  columnType: (kind) => TYPES[kind],
  faultOf,
}

class Adapter extends SqliteAdapter {
  readonly engine = sqliteEngine

  /** Kysely says otherwise, for its own way to migrate. https://www.sqlite.org/lang_transaction.html */
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

/** A writer has the whole file: there are no rows to lock. */
class Compiler extends SqliteQueryCompiler {
  protected override visitSelectQuery(node: SelectQueryNode): void {
    const { endModifiers: _, ...rest } = node
    super.visitSelectQuery(rest)
  }
}

/** SQLite over a file, with a write-ahead log: readers and one writer at a time. https://www.sqlite.org/wal.html */
export function sqliteDialect(options: SqliteOptions): Dialect {
  return new PatientDialect(options)
}

class PatientDialect extends SqliteDialect {
  readonly #options: SqliteOptions

  constructor(options: SqliteOptions) {
    super({ database: async () => openDatabase(options) })
    this.#options = options
  }

  override createAdapter(): DialectAdapter {
    return new Adapter()
  }

  override createQueryCompiler(): QueryCompiler {
    return new Compiler()
  }

  override createDriver(): Driver {
    return new PatientDriver(this.#options)
  }
}

/** Waits for other writers without holding up the event loop, which SQLite's own waiting would. */
class PatientDriver extends SqliteDriver {
  readonly #busyTimeoutMs: number

  constructor(options: SqliteOptions) {
    super({ database: async () => openDatabase(options) })
    this.#busyTimeoutMs = options.busyTimeoutMs
  }

  override async acquireConnection(): Promise<DatabaseConnection> {
    const connection = await super.acquireConnection()
    const busyTimeoutMs = this.#busyTimeoutMs
    return {
      async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
        for (let waited = 0; ; ) {
          try {
            return await connection.executeQuery<R>(query)
          } catch (error) {
            if (!isBusy(error) || waited >= busyTimeoutMs) throw error
            const pauseMs = Math.min(50, 1 + waited / 4)
            await sleep(pauseMs)
            waited += pauseMs
          }
        }
      },
      streamQuery: (query, chunkSize) => connection.streamQuery(query, chunkSize),
    }
  }
}

/** A statement that met another writer has done nothing and may be repeated. https://www.sqlite.org/rescode.html#busy */
function isBusy(error: unknown): boolean {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && code.startsWith('SQLITE_BUSY')
}

function openDatabase({ path, sync, busyTimeoutMs }: SqliteOptions): SqliteDatabase {
  if (path !== ':memory:') mkdirSync(dirname(path), { recursive: true })
  const database = new Database(path)
  database.pragma(`busy_timeout = ${Math.trunc(busyTimeoutMs)}`)
  database.pragma('journal_mode = WAL')
  database.pragma(`synchronous = ${sync === 'full' ? 'FULL' : 'NORMAL'}`)
  database.pragma('busy_timeout = 0')
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
