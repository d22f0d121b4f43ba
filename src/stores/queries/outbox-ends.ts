import type { Insertable, Kysely } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { InboxTable, OutboxTable, StoreTables } from '../schema.ts'
import { chunksBySize, chunksOf, rowsAStatement } from './chunks.ts'
import { inTransaction } from './transaction.ts'

/** How a row of the outbox ended, and what is to be written because of it. */
export interface OutboxEnd {
  readonly id: number
  readonly state: 'done' | 'failed' | 'unknown' | 'dead'
  readonly error: string | null
  readonly reply: Insertable<InboxTable>
  /** The next row of a chain. */
  readonly next?: Insertable<OutboxTable>
}

const IDS_A_STATEMENT = 500
const INBOX_COLUMNS = 18
const OUTBOX_COLUMNS = 18

/**
 * Writes how rows ended, their replies and the next rows of their chains, all or nothing. Those that another process
 * has taken over meanwhile are left out; the answer is the ids of the others.
 */
export async function endOutboxRows(
  db: Kysely<StoreTables>,
  owner: string,
  ends: readonly OutboxEnd[],
): Promise<Set<number>> {
  return inTransaction(db, async (one) => {
    const now = moment(one, undefined)
    const own = new Set<number>()
    for (const some of chunksOf(ends, IDS_A_STATEMENT)) {
      const rows = await one
        .selectFrom('b24_outbox')
        .select('id')
        .where(
          'id',
          'in',
          some.map(({ id }) => id),
        )
        .where('owner', '=', owner)
        .where('pending', '=', 1)
        .orderBy('id')
        .forUpdate()
        .execute()
      for (const { id } of rows) own.add(Number(id))
    }
    const ours = ends.filter(({ id }) => own.has(id))
    for (const [state, error, ids] of alike(ours))
      for (const some of chunksOf(ids, IDS_A_STATEMENT))
        await one
          .updateTable('b24_outbox')
          .set({
            state,
            pending: 0,
            last_error: error,
            owner: null,
            lease_until: null,
            finished_at: now,
          })
          .where('id', 'in', some)
          .execute()
    const replies = ours.map(({ reply }) => reply)
    for (const some of chunksOf(replies, rowsAStatement(one, INBOX_COLUMNS)))
      for (const few of chunksBySize(some, sizeOf)) await one.insertInto('b24_inbox').values(few).execute()
    const next = ours.flatMap((end) => end.next ?? [])
    for (const some of chunksOf(next, rowsAStatement(one, OUTBOX_COLUMNS)))
      for (const few of chunksBySize(some, sizeOf)) await one.insertInto('b24_outbox').values(few).execute()
    return own
  })
}

/** Those that get the same values, so that the many that went well are one statement. */
function alike(ends: readonly OutboxEnd[]): (readonly [OutboxEnd['state'], string | null, number[]])[] {
  const groups = new Map<string, readonly [OutboxEnd['state'], string | null, number[]]>()
  for (const { id, state, error } of ends) {
    const key = `${state} ${error ?? ''}`
    const group = groups.get(key) ?? ([state, error, []] as const)
    group[2].push(id)
    groups.set(key, group)
  }
  return [...groups.values()]
}

function sizeOf(row: Readonly<Record<string, unknown>>): number {
  let size = 0
  for (const value of Object.values(row)) size += typeof value === 'string' ? value.length : 8
  return size
}
