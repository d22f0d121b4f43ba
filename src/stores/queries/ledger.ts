import type { Kysely } from 'kysely'
import type { LedgerTable, StoreTables } from '../schema.ts'
import { chunksOf } from './chunks.ts'

/** What the ledger remembers of a command. */
export interface LedgerEntry {
  /** Chosen by the caller from contract, queue and message id. */
  readonly key: string
  /** `started`: a write may have left and nobody knows how it ended. `done`: it ended. */
  readonly state: 'started' | 'done'
  /** Tells the same command from another one under the same key. */
  readonly requestHash: string
  readonly startedAt: number
  readonly finishedAt?: number
  /** The reply as text; absent for `started`, and for a reply that was too long to keep. */
  readonly reply?: string
}

export interface StartedRow {
  readonly key: string
  readonly requestHash: string
  readonly startedAt: number
}

export interface DoneRow extends StartedRow {
  readonly finishedAt: number
  /** Kept up to 64 KB (in UTF-8); a longer one is forgotten and the entry says only that the command is done. */
  readonly reply: string
}

const LONGEST_REPLY_BYTES = 64 * 1024
const ROWS_A_STATEMENT = 500

/** The entries that exist, by key. */
export async function findLedgerEntries(
  db: Kysely<StoreTables>,
  keys: readonly string[],
): Promise<Map<string, LedgerEntry>> {
  const found = new Map<string, LedgerEntry>()
  for (const some of chunksOf(keys, ROWS_A_STATEMENT)) {
    const rows = await db.selectFrom('ledger').selectAll().where('key', 'in', some).execute()
    for (const row of rows) found.set(row.key, entryOf(row))
  }
  return found
}

/** Writes `started` where there is no entry yet, and says which keys were new; an entry that exists stays as it is. */
export async function markStarted(
  db: Kysely<StoreTables>,
  rows: readonly StartedRow[],
): Promise<Set<string>> {
  const fresh = new Set<string>()
  for (const some of chunksOf(rows, ROWS_A_STATEMENT)) {
    const inserted = await db
      .insertInto('ledger')
      .values(
        some.map((row) => ({
          key: row.key,
          state: 'started' as const,
          request_hash: row.requestHash,
          started_at: row.startedAt,
          finished_at: null,
          reply: null,
        })),
      )
      .onConflict((conflict) => conflict.column('key').doNothing())
      .returning('key')
      .execute()
    for (const { key } of inserted) fresh.add(key)
  }
  return fresh
}

/** Writes how commands ended, whether or not their start had been written. The same key twice in one list: the last counts. */
export async function markDone(db: Kysely<StoreTables>, rows: readonly DoneRow[]): Promise<void> {
  const last = [...new Map(rows.map((row) => [row.key, row])).values()]
  for (const some of chunksOf(last, ROWS_A_STATEMENT)) {
    await db
      .insertInto('ledger')
      .values(
        some.map((row) => ({
          key: row.key,
          state: 'done' as const,
          request_hash: row.requestHash,
          started_at: row.startedAt,
          finished_at: row.finishedAt,
          reply: Buffer.byteLength(row.reply) <= LONGEST_REPLY_BYTES ? row.reply : null,
        })),
      )
      .onConflict((conflict) =>
        conflict.column('key').doUpdateSet((excluded) => ({
          state: excluded.ref('excluded.state'),
          finished_at: excluded.ref('excluded.finished_at'),
          reply: excluded.ref('excluded.reply'),
        })),
      )
      .execute()
  }
}

/** Removes entries, for commands that surely did not run and will come again. Unknown keys are no fault. */
export async function forget(db: Kysely<StoreTables>, keys: readonly string[]): Promise<void> {
  for (const some of chunksOf(keys, ROWS_A_STATEMENT)) {
    await db.deleteFrom('ledger').where('key', 'in', some).execute()
  }
}

/** Removes entries that were started before a moment, however they ended, and says how many. */
export async function pruneLedger(db: Kysely<StoreTables>, before: number): Promise<number> {
  const result = await db.deleteFrom('ledger').where('started_at', '<', before).executeTakeFirst()
  return Number(result.numDeletedRows)
}

function entryOf(row: LedgerTable): LedgerEntry {
  return {
    key: row.key,
    state: row.state,
    requestHash: row.request_hash,
    startedAt: row.started_at,
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at }),
    ...(row.reply === null ? {} : { reply: row.reply }),
  }
}
