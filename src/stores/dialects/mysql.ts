import {
  type Dialect,
  MysqlAdapter,
  MysqlDriver,
  MysqlIntrospector,
  type MysqlPool,
  type MysqlPoolConnection,
  sql,
} from 'kysely'
import { createPool, type PoolConnection } from 'mysql2'
import type { ServerAddress } from '../address.ts'
import { type ColumnKind, type DriverError, type Engine, type Fault, isLost } from './engine.ts'
import { MysqlCompiler } from './mysql-compiler.ts'

const TYPES: Readonly<Record<Exclude<ColumnKind, 'key'>, string>> = {
  text: 'longtext character set utf8mb4',
  integer: 'integer',
  moment: 'bigint',
  level: 'double precision',
  bytes: 'longblob',
  serial: 'bigint auto_increment primary key',
}

/** https://mariadb.com/kb/en/mariadb-error-code-reference/ */
function faultOf(error: DriverError): Fault {
  const { code } = error
  if (typeof code !== 'string' || !/^ER_|AUTH_SWITCH/.test(code))
    return isLost(error) ? 'unavailable' : 'failed'
  if (/^ER_(?:LOCK_DEADLOCK|LOCK_WAIT_TIMEOUT|CHECKREAD)$/.test(code)) return 'busy'
  if (/^ER_DUP_ENTRY/.test(code)) return 'conflict'
  if (/DENIED|^ER_BAD_DB_ERROR$|^ER_NOT_SUPPORTED_AUTH_MODE$|AUTH_SWITCH/.test(code)) return 'refused'
  if (
    /^ER_(?:CON_COUNT|SERVER_SHUTDOWN|NORMAL_SHUTDOWN|CONNECTION_KILLED|OPTION_PREVENTS|DISK_FULL|TOO_MANY_USER)/.test(
      code,
    )
  )
    return 'unavailable'
  return 'failed'
}

export const mysqlEngine: Engine = {
  shared: true,
  partialIndexes: false,
  notifications: false,
  mostParameters: 30_000,
  now: sql<number>`cast(unix_timestamp(sysdate(3)) * 1000 as signed)`,
  // Compared by bytes. Spaces at the end do not count, here alone: no key of ours ends in one.
  columnType: (kind, length) =>
    kind === 'key' ? `varchar(${length}) character set utf8mb4 collate utf8mb4_bin` : TYPES[kind],
  faultOf,
}

class Adapter extends MysqlAdapter {
  readonly engine = mysqlEngine
}

const QUERY_TIMEOUT_MS = 30_000
const SESSION = [
  // Strict, because a value cut short in silence is worse than an error; with backslashes as the driver writes them.
  "set session sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
  // Locks on the gaps between keys would make strangers wait for each other.
  'set session transaction isolation level read committed',
]

/** MySQL 8 and MariaDB 10.5 and later, over `mysql2`. Connections that die leave the pool by themselves. */
export function mysqlDialect(address: ServerAddress): Dialect {
  return {
    createAdapter: () => new Adapter(),
    createDriver: () => new MysqlDriver({ pool: async () => openPool(address) }),
    createIntrospector: (db) => new MysqlIntrospector(db),
    createQueryCompiler: () => new MysqlCompiler(),
  }
}

function openPool(address: ServerAddress): MysqlPool {
  const { tls } = address
  const pool = createPool({
    ...(address.socket === undefined
      ? { host: address.host, port: address.port }
      : { socketPath: address.socket }),
    user: address.user,
    password: address.password,
    database: address.database,
    connectionLimit: address.pool,
    maxIdle: address.pool,
    connectTimeout: 5000,
    charset: 'utf8mb4',
    stringifyObjects: true,
    ...(tls === undefined
      ? {}
      : { ssl: { rejectUnauthorized: tls.verify, ...(tls.ca === undefined ? {} : { ca: tls.ca }) } }),
  })
  pool.on('connection', (connection: PoolConnection) => {
    // What fails here fails again, and is told, at the next statement.
    for (const statement of SESSION) connection.query(statement, () => {})
  })
  return {
    getConnection: (callback) =>
      pool.getConnection((error, connection) =>
        callback(error, error ? noConnection : impatient(connection)),
      ),
    end: (callback) => pool.end(callback),
  }
}

/** Kysely knows a connection by its object: one wrapper each. */
const wrappers = new WeakMap<PoolConnection, MysqlPoolConnection>()

/** The connection, with an end to its patience: a server that went silent is left. */
function impatient(connection: PoolConnection): MysqlPoolConnection {
  const known = wrappers.get(connection)
  if (known !== undefined) return known
  const wrapper = {
    query(statement: string, values: unknown[], callback: (error: unknown, result: never) => void) {
      connection.query({ sql: statement, timeout: QUERY_TIMEOUT_MS }, values, (error, result) => {
        if (error?.code === 'PROTOCOL_SEQUENCE_TIMEOUT') connection.destroy()
        callback(error, result as never)
      })
    },
    release: () => connection.release(),
  } as MysqlPoolConnection
  wrappers.set(connection, wrapper)
  return wrapper
}

const noConnection = undefined as unknown as MysqlPoolConnection
