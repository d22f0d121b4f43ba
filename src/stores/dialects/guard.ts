import { setTimeout as sleep } from 'node:timers/promises'
import type {
  CompiledQuery,
  DatabaseConnection,
  Dialect,
  Driver,
  QueryResult,
  TransactionSettings,
} from 'kysely'
import { BridgeError, StoreError } from '../../model/errors.ts'
import type { DriverError, Engine, Fault } from './engine.ts'

/** How a store names itself in its errors. */
export interface GuardOptions {
  readonly engine: Engine
  /** The address without secrets. */
  readonly label: string
  /** Never to be seen, whatever a driver writes. */
  readonly password?: string
}

const TRIES = 5

/**
 * The dialect, with every error turned into a `StoreError` in one place: `STORE_UNAVAILABLE` (gone or not let in by
 * the network), `STORE_REFUSED` (user, password, rights), `STORE_BUSY` (deadlock, lock not given), `STORE_CONFLICT`
 * (a key twice), `STORE_FAILED`. A lone statement that lost a deadlock is tried again; one in a transaction is not.
 */
export function guarded(dialect: Dialect, options: GuardOptions): Dialect {
  return {
    createAdapter: () => dialect.createAdapter(),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createIntrospector: (db) => dialect.createIntrospector(db),
    createDriver: () => new GuardedDriver(dialect.createDriver(), options),
  }
}

/** A driver's error as ours; ours stay as they are. The statement and its values are left behind. */
export function storeError(thrown: unknown, options: GuardOptions): BridgeError {
  if (thrown instanceof BridgeError) return thrown
  const error = inner(thrown)
  const fault = options.engine.faultOf(error)
  const code = error.code ?? error.number
  const text = masked(error.message || String(code ?? 'unknown error'), options.password)
  const [ourCode, what, hint] = FAULTS[fault]
  // Drivers attach the statement with its values, and addresses; none of that may reach a log.
  const cause = new Error(text)
  return new StoreError(ourCode, `The store ${options.label} ${what}: ${text}`, {
    hint,
    cause,
    ...(typeof code === 'string' || typeof code === 'number' ? { context: { code } } : {}),
  })
}

const FAULTS: Readonly<Record<Fault, readonly [code: string, what: string, hint: string]>> = {
  unavailable: [
    'STORE_UNAVAILABLE',
    'cannot be reached or used',
    'For a server: check host, port and network, and that it runs. For a file: check that the folder exists, that this user may write there, that the disk has room and that the file is an SQLite database.',
  ],
  refused: [
    'STORE_REFUSED',
    'refused us',
    'Check user, password and name of the database, and the rights of that user (see docs/databases.md).',
  ],
  busy: ['STORE_BUSY', 'was busy', 'Others hold what is needed; the same work may succeed when repeated.'],
  conflict: ['STORE_CONFLICT', 'has this already', 'Another process wrote the same; read it again.'],
  failed: ['STORE_FAILED', 'could not carry out a statement', 'Report this with the text of the database.'],
}

function masked(text: string, password: string | undefined): string {
  return password === undefined || password === '' ? text : text.replaceAll(password, '•••')
}

/** Several addresses of one host fail together, with an empty text. */
function inner(thrown: unknown): DriverError {
  if (thrown instanceof AggregateError && thrown.errors[0] instanceof Error) return thrown.errors[0]
  return thrown instanceof Error ? thrown : new Error(String(thrown))
}

class GuardedDriver implements Driver {
  readonly #driver: Driver
  readonly #options: GuardOptions

  constructor(driver: Driver, options: GuardOptions) {
    this.#driver = driver
    this.#options = options
  }

  init(): Promise<void> {
    return this.#wrap(() => this.#driver.init())
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const connection = await this.#wrap(() => this.#driver.acquireConnection())
    return new GuardedConnection(connection, this.#options)
  }

  async beginTransaction(connection: GuardedConnection, settings: TransactionSettings): Promise<void> {
    await this.#wrap(() => this.#driver.beginTransaction(connection.connection, settings))
    connection.inTransaction = true
  }

  async commitTransaction(connection: GuardedConnection): Promise<void> {
    await this.#wrap(() => this.#driver.commitTransaction(connection.connection))
  }

  async rollbackTransaction(connection: GuardedConnection): Promise<void> {
    // A connection that is gone has rolled back; what matters is why.
    await this.#driver.rollbackTransaction(connection.connection).catch(() => {})
  }

  releaseConnection(connection: GuardedConnection): Promise<void> {
    return this.#wrap(() => this.#driver.releaseConnection(connection.connection))
  }

  destroy(): Promise<void> {
    return this.#wrap(() => this.#driver.destroy())
  }

  async #wrap<T>(act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      throw storeError(error, this.#options)
    }
  }
}

class GuardedConnection implements DatabaseConnection {
  readonly connection: DatabaseConnection
  readonly #options: GuardOptions
  inTransaction = false

  constructor(connection: DatabaseConnection, options: GuardOptions) {
    this.connection = connection
    this.#options = options
  }

  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.connection.executeQuery<R>(query)
      } catch (thrown) {
        const error = storeError(thrown, this.#options)
        if (error.code !== 'STORE_BUSY' || this.inTransaction || tries === TRIES) throw error
        await sleep(5 * tries * tries)
      }
    }
  }

  streamQuery<R>(query: CompiledQuery, chunkSize: number): AsyncIterableIterator<QueryResult<R>> {
    return this.connection.streamQuery<R>(query, chunkSize)
  }
}
