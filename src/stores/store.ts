import type { Kysely } from 'kysely'
import type { StoreTables } from './schema.ts'

export type { StoreTables } from './schema.ts'

/** What a database engine can do; ask these flags, never which engine it is. */
export interface StoreFeatures {
  /** Several running bridges may share it. */
  readonly shared: boolean
  /** What was committed is still there after the process is gone. */
  readonly durable: boolean
}

/** Somebody who is told of inserts. */
export interface Listening {
  /** Hears nothing more. Twice is harmless. */
  close(): Promise<void>
}

/** An open store: the database that `queries/` work on. */
export interface Store {
  readonly db: Kysely<StoreTables>
  readonly features: StoreFeatures
  /** The address for logs, without any secret. */
  readonly label: string
  /**
   * Calls back when rows were inserted into a table that tells of it, and now and then for nothing. Absent where the
   * database has no such thing: look from time to time.
   */
  readonly listen?: (table: 'b24_outbox' | 'b24_inbox', onTold: () => void) => Listening
  /** Gives the store back and closes the database. Twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
