import { type Kysely, type RawBuilder, sql } from 'kysely'

/** Kinds of columns; each engine says how it writes them. */
export type ColumnKind = 'key' | 'text' | 'integer' | 'moment' | 'level' | 'bytes' | 'serial'

/** What becomes of a statement that failed. */
export type Fault = 'unavailable' | 'refused' | 'busy' | 'conflict' | 'failed'

/**
 * What the databases do differently and a compiler cannot even out. Queries ask these flags, never which engine it is.
 * Beside them, `supportsReturning` and `supportsTransactionalDdl` of Kysely's own adapter hold.
 */
export interface Engine {
  /** Several running bridges may share it. */
  readonly shared: boolean
  /** An index may cover a part of the rows. */
  readonly partialIndexes: boolean
  /** Tells a connection that listens when rows were inserted; a migration makes the triggers. */
  readonly notifications: boolean
  /** Parameters that one statement may have. */
  readonly mostParameters: number
  /** Milliseconds since 1970 by the database's clock, the one clock that all processes share. */
  readonly now: RawBuilder<number>
  /** The SQL type of a column; keys are compared byte by byte and have at most `length` characters. */
  columnType(kind: ColumnKind, length: number): string
  /** Reads a driver's error. */
  faultOf(error: DriverError): Fault
}

/** What drivers attach to their errors. */
export interface DriverError {
  readonly message: string
  readonly code?: unknown
  readonly errno?: unknown
  readonly number?: unknown
}

/** What the database behind this handle can do; inside a transaction too. */
export function engineOf<T>(db: Kysely<T>): Engine {
  return (db.getExecutor().adapter as unknown as { readonly engine: Engine }).engine
}

/** The moment to compare with: a given one, or the database's own clock. */
export function moment<T>(db: Kysely<T>, now: number | undefined): RawBuilder<number> {
  return now === undefined ? engineOf(db).now : sql<number>`${sql.lit(Math.trunc(now))}`
}

/** Codes of Node's sockets and resolvers, and of the drivers when a connection is gone. */
export function isLost({ code, message }: DriverError): boolean {
  if (typeof code === 'string') {
    if (
      /^(?:E(?:CONN|HOST|NET|TIMEDOUT|PIPE|NOTFOUND|AI_)|ENO(?:ENT|TFOUND)|PROTOCOL_|ESOCKET|ETIMEOUT)/.test(
        code,
      )
    )
      return true
  }
  return /\b(?:connection (?:terminated|ended|is closed|lost)|closed state|destroyed|not queryable|read timeout|timeout exceeded|after calling end|pool is closed)\b/i.test(
    message,
  )
}
