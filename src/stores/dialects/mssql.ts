import { type Dialect, type Kysely, MssqlAdapter, MssqlDialect, sql } from 'kysely'
import * as tarn from 'tarn'
import * as tedious from 'tedious'
import type { ServerAddress } from '../address.ts'
import { type ColumnKind, type DriverError, type Engine, type Fault, isLost } from './engine.ts'
import { MssqlCompiler } from './mssql-compiler.ts'

const TYPES: Readonly<Record<Exclude<ColumnKind, 'key'>, string>> = {
  text: 'nvarchar(max)',
  integer: 'int',
  // The driver hands out bigint as text.
  moment: 'numeric(18,0)',
  level: 'float',
  bytes: 'varbinary(max)',
  serial: 'numeric(18,0) identity primary key',
}

/** https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors */
function faultOf(error: DriverError): Fault {
  const { number, code } = error
  if (typeof number === 'number') {
    if ([1205, 1222].includes(number)) return 'busy'
    if ([2601, 2627].includes(number)) return 'conflict'
    if ([229, 262, 4060, 18456].includes(number)) return 'refused'
  }
  if (code === 'ELOGIN') return 'refused'
  return isLost(error) || code === 'ECLOSE' || code === 'EINVALIDSTATE' ? 'unavailable' : 'failed'
}

export const mssqlEngine: Engine = {
  shared: true,
  partialIndexes: true,
  notifications: false,
  mostParameters: 2000,
  now: sql<number>`cast(datediff_big(millisecond, '1970-01-01', sysutcdatetime()) as numeric(18,0))`,
  columnType: (kind, length) =>
    kind === 'key' ? `nvarchar(${length}) collate Latin1_General_100_BIN2` : TYPES[kind],
  faultOf,
}

const LOCK = sql.lit('bitrix24-bridge migrations')

class Adapter extends MssqlAdapter {
  readonly engine = mssqlEngine

  /** The compiler writes `returning` as `output`. */
  override get supportsReturning(): boolean {
    return true
  }

  override get supportsTransactionalDdl(): boolean {
    return true
  }

  /** For the connection, not for a transaction as Kysely's own. */
  override async acquireMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`exec sp_getapplock @Resource = ${LOCK}, @LockMode = 'Exclusive', @LockOwner = 'Session'`.execute(
      db,
    )
  }

  override async releaseMigrationLock(db: Kysely<unknown>): Promise<void> {
    await sql`exec sp_releaseapplock @Resource = ${LOCK}, @LockOwner = 'Session'`.execute(db)
  }
}

/** What the dialect is without a connection: enough to write statements. */
export const mssqlParts = {
  createAdapter: () => new Adapter(),
  createQueryCompiler: () => new MssqlCompiler(),
}

/** SQL Server 2019 and later, over `tedious`. */
export function mssqlDialect(address: ServerAddress): Dialect {
  const { tls } = address
  const connect = (): tedious.Connection =>
    new tedious.Connection({
      server: address.host,
      authentication: {
        type: 'default',
        options: { userName: address.user, password: address.password },
      },
      options: {
        port: address.port,
        database: address.database,
        appName: 'bitrix24-bridge',
        connectTimeout: 5000,
        requestTimeout: 30_000,
        encrypt: tls !== undefined,
        trustServerCertificate: tls?.verify !== true,
        ...(tls?.ca === undefined ? {} : { cryptoCredentialsDetails: { ca: tls.ca } }),
      },
    })
  const dialect = new MssqlDialect({
    tarn: { ...tarn, options: { min: 0, max: address.pool, acquireTimeoutMillis: 10_000 } },
    tedious: { ...tedious, connectionFactory: connect },
  })
  return {
    ...mssqlParts,
    createDriver: () => dialect.createDriver(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  }
}
