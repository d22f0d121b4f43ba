import { type ExpressionBuilder, type Kysely, sql } from 'kysely'
import type { DeadLetter, LetterContent, LetterFilter, LetterPage } from '../../model/dead-letter.ts'
import { moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'
import type { Sealer } from '../seal.ts'
import { columnsOf, letterOf, SUMMARY } from './dead-letter-row.ts'
import { insertNew } from './insert-new.ts'
import { inTransaction } from './transaction.ts'

type Db = Kysely<StoreTables>

/** Well below what any server takes in one statement. */
const PART_BYTES = 512 * 1024
const PRUNED_A_STEP = 200

/**
 * Keeps a letter with its content, in one transaction. `known` when there is one of this id already, whose state is
 * given instead; nothing is written then.
 */
export async function insertLetter(
  db: Db,
  sealer: Sealer,
  letter: DeadLetter,
  content: LetterContent,
): Promise<'new' | DeadLetter['state']> {
  const { id } = letter
  const secret = Object.keys(content.secretHeaders).length > 0
  const row = {
    ...columnsOf(letter),
    claimed_until: 0,
    properties: content.properties,
    secret_headers: secret ? sealer.seal(place(id), JSON.stringify(content.secretHeaders)) : null,
  }
  return inTransaction(db, async (transaction) => {
    const fresh = await insertNew(transaction, 'dead_letters', 'id', [row])
    if (!fresh.has(id)) {
      const { state } = await transaction
        .selectFrom('dead_letters')
        .select('state')
        .where('id', '=', id)
        .executeTakeFirstOrThrow()
      return state
    }
    for (let part = 0; part * PART_BYTES < content.body.length; part++) {
      const piece = content.body.subarray(part * PART_BYTES, (part + 1) * PART_BYTES)
      await transaction
        .insertInto('dead_letter_parts')
        .values({ letter_id: id, part, content: piece })
        .execute()
    }
    return 'new'
  })
}

/** A letter, or `undefined`. */
export async function findLetter(db: Db, id: string): Promise<DeadLetter | undefined> {
  const row = await db.selectFrom('dead_letters').select(SUMMARY).where('id', '=', id).executeTakeFirst()
  return row && letterOf(row)
}

/** The message of a letter as it was; `undefined` when there is no such letter. Rejects as `Sealer.open`. */
export async function letterContent(db: Db, sealer: Sealer, id: string): Promise<LetterContent | undefined> {
  const row = await db
    .selectFrom('dead_letters')
    .select(['properties', 'secret_headers'])
    .where('id', '=', id)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const parts = await db
    .selectFrom('dead_letter_parts')
    .select('content')
    .where('letter_id', '=', id)
    .orderBy('part')
    .execute()
  const secret = row.secret_headers
  return {
    properties: row.properties,
    secretHeaders: secret === null ? {} : JSON.parse(sealer.open(place(id), secret)),
    body: Buffer.concat(parts.map(({ content }) => Buffer.from(content))),
  }
}

/**
 * Letters that fit the filter in the order in which they were set aside, the newest first unless `order` says otherwise,
 * from behind `after` (`next` of the page before). What comes or goes meanwhile moves no other from page to page.
 */
export async function listLetters(
  db: Db,
  filter: LetterFilter,
  page: { readonly after?: string; readonly limit: number; readonly order?: 'newest' | 'oldest' },
): Promise<LetterPage> {
  const direction = page.order === 'oldest' ? 'asc' : 'desc'
  const beyond = direction === 'asc' ? '>' : '<'
  let query = db.selectFrom('dead_letters').select(SUMMARY).where(fits(filter))
  const after = cursorOf(page.after)
  if (after !== undefined) {
    query = query.where((where) =>
      where.or([
        where('died_at', beyond, after.diedAt),
        where.and([where('died_at', '=', after.diedAt), where('id', beyond, after.id)]),
      ]),
    )
  }
  const rows = await query
    .orderBy('died_at', direction)
    .orderBy('id', direction)
    .limit(page.limit + 1)
    .execute()
  const letters = rows.slice(0, page.limit).map(letterOf)
  const last = letters.at(-1)
  return {
    letters,
    ...(rows.length > page.limit && last !== undefined ? { next: `${last.diedAt}.${last.id}` } : {}),
  }
}

/** How many letters fit the filter. */
export async function countLetters(db: Db, filter: LetterFilter): Promise<number> {
  const row = await db
    .selectFrom('dead_letters')
    .select((count) => count.fn.countAll<number>().as('letters'))
    .where(fits(filter))
    .executeTakeFirstOrThrow()
  return Number(row.letters)
}

/**
 * Takes the right to send a letter again, and writes down who tried and when. False when it is gone, or somebody else is
 * at it or was since the letter was read with so many `retries`; the right ends by itself after `ttlMs`.
 */
export async function claimLetter(
  db: Db,
  id: string,
  claim: { readonly by: string; readonly at: number; readonly ttlMs: number; readonly retries: number },
): Promise<boolean> {
  const now = moment(db, undefined)
  const result = await db
    .updateTable('dead_letters')
    .set((set) => ({
      claimed_until: set(now, '+', claim.ttlMs),
      retries: set('retries', '+', 1),
      retried_at: claim.at,
      retried_by: claim.by.slice(0, 255),
    }))
    .where('id', '=', id)
    .where('retries', '=', claim.retries)
    .where('claimed_until', '<=', now)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Gives the right back; `sent` says whether a broker has confirmed the message. */
export async function settleLetter(db: Db, id: string, sent: boolean): Promise<void> {
  await db
    .updateTable('dead_letters')
    .set({ claimed_until: 0, ...(sent ? { state: 'retried' as const } : {}) })
    .where('id', '=', id)
    .execute()
}

/** Forgets a letter. False when there was none. */
export async function dropLetter(db: Db, id: string): Promise<boolean> {
  return (await removeLetters(db, [id])) > 0
}

/** Forgets what was stored longer ago than this by the store's clock, a few at a time, and says how many there were. */
export async function pruneLetters(db: Db, olderThanMs: number): Promise<number> {
  const before = sql<number>`${moment(db, undefined)} - ${sql.lit(Math.trunc(olderThanMs))}`
  for (let pruned = 0; ; ) {
    const rows = await db
      .selectFrom('dead_letters')
      .select('id')
      .where('stored_at', '<', before)
      .orderBy('stored_at')
      .limit(PRUNED_A_STEP)
      .execute()
    if (rows.length === 0) return pruned
    pruned += await removeLetters(
      db,
      rows.map(({ id }) => id),
    )
  }
}

function removeLetters(db: Db, ids: readonly string[]): Promise<number> {
  // In one order for everybody, or two that prune could wait for each other.
  const sorted = [...ids].sort()
  return inTransaction(db, async (transaction) => {
    const removed = await transaction.deleteFrom('dead_letters').where('id', 'in', sorted).executeTakeFirst()
    await transaction.deleteFrom('dead_letter_parts').where('letter_id', 'in', sorted).execute()
    return Number(removed.numDeletedRows)
  })
}

function fits(filter: LetterFilter) {
  const { state, reason, portal, method, queue, since, until } = filter
  return (where: ExpressionBuilder<StoreTables, 'dead_letters'>) =>
    where.and([
      ...(state === undefined ? [] : [where('state', '=', state)]),
      ...(reason === undefined ? [] : [where('reason', '=', reason)]),
      ...(portal === undefined ? [] : [where('portal', '=', portal.toLowerCase())]),
      ...(queue === undefined ? [] : [where('queue', '=', queue)]),
      ...(since === undefined ? [] : [where('died_at', '>=', since)]),
      ...(until === undefined ? [] : [where('died_at', '<', until)]),
      ...(method === undefined ? [] : methodFits(where, method.toLowerCase())),
    ])
}

/** Keys are compared byte by byte, so what begins with a text is a range. */
function methodFits(where: ExpressionBuilder<StoreTables, 'dead_letters'>, method: string) {
  if (!method.endsWith('*')) return [where('method', '=', method)]
  const begin = method.slice(0, -1)
  return [where('method', '>=', begin), where('method', '<', `${begin}\uffff`)]
}

function cursorOf(text: string | undefined): { diedAt: number; id: string } | undefined {
  const { at, id } = /^(?<at>\d{1,15})\.(?<id>.{1,64})$/.exec(text ?? '')?.groups ?? {}
  return at === undefined || id === undefined ? undefined : { diedAt: Number(at), id }
}

function place(id: string): { table: string; row: string; column: string } {
  return { table: 'dead_letters', row: id, column: 'secret_headers' }
}
