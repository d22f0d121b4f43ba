import { createHash } from 'node:crypto'
import { type ExpressionBuilder, type Kysely, type Selectable, sql, type UpdateObject } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { LedgerTable, StoreTables } from '../schema.ts'
import { chunksOf, rowsAStatement } from './chunks.ts'
import { insertNew } from './insert-new.ts'

/** What the ledger remembers of a command. */
export interface LedgerEntry {
  /** Chosen by the caller from contract, queue and message id. */
  readonly key: string
  /**
   * `started`: a write may have left and nobody knows how it ended. `done`: it ended. `failed`: it ended, and surely was not
   * carried out.
   */
  readonly state: 'started' | 'done' | 'failed'
  /** Tells the same command from another one under the same key. */
  readonly requestHash: string
  readonly startedAt: number
  /** How often it was sent again while in doubt. */
  readonly repeats: number
  /** The word under which it was begun last. */
  readonly claim?: string
  readonly finishedAt?: number
  /** The reply as text; absent for `started`, and for a reply that was too long to keep. */
  readonly reply?: string
}

export interface StartedRow {
  readonly key: string
  readonly requestHash: string
  readonly startedAt: number
  /** A word of whoever begins it, never the same twice; up to 24 characters. */
  readonly claim: string
}

export interface DoneRow extends Omit<StartedRow, 'claim'> {
  readonly finishedAt: number
  /** False: it surely was not carried out. */
  readonly ran: boolean
  /** Kept up to 64 KB (in UTF-8); a longer one is forgotten and the entry says only that the command is done. */
  readonly reply: string
}

const LONGEST_REPLY_BYTES = 64 * 1024
const KEYS_A_STATEMENT = 250
const COLUMNS = 6
/** Longer than contract, queue and message id of AMQP together; the databases index no more. */
const LONGEST_KEY = 600

/** The entries that exist, by key. */
export async function findLedgerEntries(
  db: Kysely<StoreTables>,
  keys: readonly string[],
): Promise<Map<string, LedgerEntry>> {
  const found = new Map<string, LedgerEntry>()
  for (const some of chunksOf(keys, KEYS_A_STATEMENT)) {
    const given = new Map(some.map((key) => [storedKey(key), key]))
    const rows = await db
      .selectFrom('ledger')
      .selectAll()
      .where('key', 'in', [...given.keys()])
      .execute()
    for (const row of rows) {
      const key = given.get(row.key) ?? row.key
      found.set(key, entryOf(row, key))
    }
  }
  return found
}

/** Writes `started` where there is no entry yet, and says which keys were new; an entry that exists stays as it is. */
export async function markStarted(
  db: Kysely<StoreTables>,
  rows: readonly StartedRow[],
): Promise<Set<string>> {
  const given = new Map(rows.map((row) => [storedKey(row.key), row]))
  const values = [...given].map(([key, row]) => ({
    key,
    state: 'started' as const,
    request_hash: row.requestHash,
    started_at: row.startedAt,
    finished_at: null,
    reply: null,
    claim: row.claim,
  }))
  const fresh = await insertNew(db, 'ledger', 'key', values)
  return new Set([...fresh].map((key) => given.get(key)!.key))
}

/**
 * A command that was `started` at `since` is begun once more. `isRepeat`: it is in doubt, and is sent again. False when
 * somebody else has begun it, or it has ended.
 */
export function markAgain(
  db: Kysely<StoreTables>,
  key: string,
  since: number,
  { startedAt, claim, isRepeat }: Pick<StartedRow, 'startedAt' | 'claim'> & { readonly isRepeat: boolean },
): Promise<boolean> {
  return change(db, { key, state: 'started', since }, (set) => ({
    started_at: startedAt,
    claim,
    ...(isRepeat ? { repeats: set('repeats', '+', 1) } : {}),
  }))
}

/** A command that was begun at `since` and has `failed` is begun anew, as if it had never been seen. False as above. */
export function markAnew(
  db: Kysely<StoreTables>,
  since: number,
  { key, requestHash, startedAt, claim }: StartedRow,
): Promise<boolean> {
  return change(db, { key, state: 'failed', since }, () => ({
    state: 'started',
    request_hash: requestHash,
    started_at: startedAt,
    finished_at: null,
    reply: null,
    repeats: 0,
    claim,
  }))
}

/** Writes how commands ended, whether or not their start had been written. The same key twice in one list: the last counts. */
export async function markDone(db: Kysely<StoreTables>, rows: readonly DoneRow[]): Promise<void> {
  const last = [...new Map(rows.map((row) => [storedKey(row.key), row]))].sort(byKey)
  for (const some of chunksOf(last, rowsAStatement(db, COLUMNS))) {
    await db
      .insertInto('ledger')
      .values(
        some.map(([key, row]) => ({
          key,
          state: stateOf(row),
          request_hash: row.requestHash,
          started_at: row.startedAt,
          finished_at: row.finishedAt,
          reply: shortEnough(row.reply),
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

/** A command that was `started` at `since` has ended. False when somebody else has begun it again or ended it. */
export function markConcluded(
  db: Kysely<StoreTables>,
  key: string,
  since: number,
  end: Pick<DoneRow, 'finishedAt' | 'reply' | 'ran'>,
): Promise<boolean> {
  return change(db, { key, state: 'started', since }, () => ({
    state: stateOf(end),
    finished_at: end.finishedAt,
    reply: shortEnough(end.reply),
  }))
}

/** Changes the page of a command that is in this state since this moment still; false when it is not. */
async function change(
  db: Kysely<StoreTables>,
  {
    key,
    state,
    since,
  }: { readonly key: string; readonly state: LedgerTable['state']; readonly since: number },
  to: (set: ExpressionBuilder<StoreTables, 'ledger'>) => UpdateObject<StoreTables, 'ledger'>,
): Promise<boolean> {
  const result = await db
    .updateTable('ledger')
    .set(to)
    .where('key', '=', storedKey(key))
    .where('state', '=', state)
    .where('started_at', '=', since)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/**
 * Removes entries that are `started` since the moment given, for commands that surely did not run and will come again.
 * Others stay as they are.
 */
export async function forget(
  db: Kysely<StoreTables>,
  rows: readonly { readonly key: string; readonly since: number }[],
): Promise<void> {
  for (const some of chunksOf(rows, KEYS_A_STATEMENT)) {
    await db
      .deleteFrom('ledger')
      .where('state', '=', 'started')
      .where((is) =>
        is.or(
          some.map(({ key, since }) =>
            is.and([is('key', '=', storedKey(key)), is('started_at', '=', since)]),
          ),
        ),
      )
      .execute()
  }
}

/** Removes entries that were started longer ago than this by the store's clock, however they ended, and says how many. */
export async function pruneLedger(db: Kysely<StoreTables>, olderThanMs: number): Promise<number> {
  const before = sql<number>`${moment(db, undefined)} - ${sql.lit(Math.trunc(olderThanMs))}`
  const result = await db.deleteFrom('ledger').where('started_at', '<', before).executeTakeFirst()
  return Number(result.numDeletedRows)
}

function stateOf({ ran }: Pick<DoneRow, 'ran'>): 'done' | 'failed' {
  return ran ? 'done' : 'failed'
}

function shortEnough(reply: string): string | null {
  return Buffer.byteLength(reply) <= LONGEST_REPLY_BYTES ? reply : null
}

/**
 * The key as it is kept: databases cut or forbid long ones, one of them takes no notice of spaces at the end, another one
 * takes no zero bytes.
 */
function storedKey(key: string): string {
  if (key.length <= LONGEST_KEY && !key.endsWith(' ') && !key.includes('\0')) return key
  return `sha256:${createHash('sha256').update(key).digest('hex')}`
}

/** In one order for everybody, or two writers could wait for each other. */
function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function entryOf(row: Selectable<LedgerTable>, key: string): LedgerEntry {
  return {
    key,
    state: row.state,
    requestHash: row.request_hash,
    startedAt: row.started_at,
    repeats: row.repeats,
    ...(row.claim === null ? {} : { claim: row.claim }),
    ...(row.finished_at === null ? {} : { finishedAt: row.finished_at }),
    ...(row.reply === null ? {} : { reply: row.reply }),
  }
}
