import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'

/** A queue that holds the backlog of one portal. */
export interface LaneQueueRow {
  readonly queue: string
  readonly domain: string
  /** When a command was last moved there, give or take a minute: milliseconds since 1970. */
  readonly usedAt: number
}

/** Names a lane queue, or says that it is in use still. */
export async function noteLaneQueue(db: Kysely<StoreTables>, row: LaneQueueRow): Promise<void> {
  const { queue, domain, usedAt } = row
  await db
    .insertInto('lane_queues')
    .values({ queue, domain, used_at: usedAt })
    .onConflict((conflict) => conflict.column('queue').doUpdateSet({ used_at: usedAt }))
    .execute()
}

/** All lane queues that have been named and not forgotten. */
export async function listLaneQueues(db: Kysely<StoreTables>): Promise<LaneQueueRow[]> {
  const rows = await db.selectFrom('lane_queues').selectAll().orderBy('queue').execute()
  return rows.map(({ queue, domain, used_at }) => ({ queue, domain, usedAt: used_at }))
}

/** A lane queue is gone. */
export async function forgetLaneQueue(db: Kysely<StoreTables>, queue: string): Promise<void> {
  await db.deleteFrom('lane_queues').where('queue', '=', queue).execute()
}
