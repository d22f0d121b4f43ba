import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'
import { chunksOf, rowsAStatement } from './chunks.ts'

/** An event has told of an object. */
export interface Arrival {
  readonly memberId: string
  /** `crm.deal` and the like. */
  readonly entity: string
  readonly objectId: string
  readonly act: 'add' | 'change'
  /** By the portal's clock: milliseconds since 1970. */
  readonly happenedAt: number
}

const COLUMNS = 6
const IDS_A_STATEMENT = 500

/** Notes what has arrived; the same thing may be noted any number of times. */
export async function noteArrivals(
  db: Kysely<StoreTables>,
  arrivals: readonly Arrival[],
  now: number,
): Promise<void> {
  const rows = arrivals.map(({ memberId, entity, objectId, act, happenedAt }) => ({
    member_id: memberId,
    entity,
    object_id: objectId,
    act,
    happened_at: happenedAt,
    noted_at: now,
  }))
  for (const some of chunksOf(rows, rowsAStatement(db, COLUMNS)))
    await db.insertInto('event_arrivals').values(some).execute()
}

/** What is noted of these objects. */
export async function findArrivals(
  db: Kysely<StoreTables>,
  {
    memberId,
    entity,
    ids,
  }: { readonly memberId: string; readonly entity: string; readonly ids: readonly string[] },
): Promise<Arrival[]> {
  const found: Arrival[] = []
  for (const some of chunksOf(ids, IDS_A_STATEMENT)) {
    const rows = await db
      .selectFrom('event_arrivals')
      .select(['object_id', 'act', 'happened_at'])
      .where('member_id', '=', memberId)
      .where('entity', '=', entity)
      .where('object_id', 'in', some)
      .execute()
    for (const { object_id, act, happened_at } of rows)
      found.push({ memberId, entity, objectId: object_id, act, happenedAt: Number(happened_at) })
  }
  return found
}

/** Forgets what was noted before a moment. */
export async function dropArrivals(db: Kysely<StoreTables>, before: number): Promise<void> {
  await db.deleteFrom('event_arrivals').where('noted_at', '<', before).execute()
}
