import { type Kysely, sql } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'
import { insertNew } from './insert-new.ts'

/** After so long without a word a process is taken for gone. */
export const GONE_MS = 30_000

/** A process says that it is alive, and hears how many are, itself included. By the database's clock. */
export async function seeInstance(db: Kysely<StoreTables>, owner: string): Promise<number> {
  const now = moment(db, undefined)
  await insertNew(db, 'instances', 'owner', [{ owner, seen_at: 0 }])
  await db.updateTable('instances').set({ seen_at: now }).where('owner', '=', owner).execute()
  const alive = await db
    .selectFrom('instances')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('seen_at', '>', sql<number>`${now} - ${sql.lit(GONE_MS)}`)
    .executeTakeFirst()
  return Number(alive?.count ?? 1)
}

/** A process ends. Those that ended without a word long ago are forgotten with it. */
export async function forgetInstance(db: Kysely<StoreTables>, owner: string): Promise<void> {
  const long = sql<number>`${moment(db, undefined)} - ${sql.lit(10 * GONE_MS)}`
  await db
    .deleteFrom('instances')
    .where((where) => where.or([where('owner', '=', owner), where('seen_at', '<', long)]))
    .execute()
}
