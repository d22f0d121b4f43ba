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

/** An open store: the database that `queries/` work on. */
export interface Store {
  readonly db: Kysely<StoreTables>
  readonly features: StoreFeatures
  /** The address for logs, without any secret. */
  readonly label: string
  /** Gives the store back and closes the database. Twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}
