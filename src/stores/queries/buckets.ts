import { type Kysely, type RawBuilder, sql } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'
import { insertNew } from './insert-new.ts'

/** How full a request counter was at a moment. */
export interface BucketLevel {
  readonly level: number
  /** Milliseconds since 1970. */
  readonly updatedAt: number
}

/** All saved levels by key (the portal's permanent id). */
export async function loadBuckets(db: Kysely<StoreTables>): Promise<Map<string, BucketLevel>> {
  const rows = await db.selectFrom('buckets').selectAll().execute()
  return new Map(rows.map((row) => [row.key, { level: row.level, updatedAt: row.updated_at }]))
}

/** Saves one level, over the earlier one. */
export async function saveBucket(db: Kysely<StoreTables>, key: string, bucket: BucketLevel): Promise<void> {
  const values = { level: bucket.level, updated_at: bucket.updatedAt }
  await db
    .insertInto('buckets')
    .values({ key, ...values })
    .onConflict((conflict) => conflict.column('key').doUpdateSet(values))
    .execute()
}

/** A counter that several processes share, by the database's clock. */
export interface SharedBucket {
  /** The portal's domain. */
  readonly key: string
  readonly drainPerSecond: number
}

/**
 * Takes places in one statement, when the counter then stays at or below `capacity`; false otherwise. A counter that
 * nobody has used is empty.
 */
export async function takePlaces(
  db: Kysely<StoreTables>,
  bucket: SharedBucket,
  { places, capacity }: { readonly places: number; readonly capacity: number },
): Promise<boolean> {
  const level = drained(db, bucket)
  const take = () =>
    db
      .updateTable('buckets')
      .set({ level: sql<number>`${level} + ${sql.lit(places)}`, updated_at: moment(db, undefined) })
      .where('key', '=', bucket.key)
      .where(sql<boolean>`${level} + ${sql.lit(places)} <= ${sql.lit(capacity)}`)
      .executeTakeFirst()
  if ((await take()).numUpdatedRows > 0n) return true
  const known = await db.selectFrom('buckets').select('key').where('key', '=', bucket.key).executeTakeFirst()
  if (known !== undefined) return false
  await insertNew(db, 'buckets', 'key', [{ key: bucket.key, level: 0, updated_at: 0 }])
  return (await take()).numUpdatedRows > 0n
}

/** Where the counter stands now; 0 for one that nobody has used. */
export async function levelOf(db: Kysely<StoreTables>, bucket: SharedBucket): Promise<number> {
  const row = await db
    .selectFrom('buckets')
    .select(drained(db, bucket).as('level'))
    .where('key', '=', bucket.key)
    .executeTakeFirst()
  return Number(row?.level ?? 0)
}

/** The portal's own word: the counter is full, and stays so for a while. */
export async function fillBucket(
  db: Kysely<StoreTables>,
  bucket: SharedBucket,
  { capacity, forMs }: { readonly capacity: number; readonly forMs: number },
): Promise<void> {
  await insertNew(db, 'buckets', 'key', [{ key: bucket.key, level: 0, updated_at: 0 }])
  await db
    .updateTable('buckets')
    // Drained from a moment to come on, it is full until then.
    .set({
      level: capacity,
      updated_at: sql<number>`${moment(db, undefined)} + ${sql.lit(Math.trunc(forMs))}`,
    })
    .where('key', '=', bucket.key)
    .execute()
}

/** A clock that was set back must not stop a portal for as long. */
const SET_BACK_MS = 5000

/** The level after draining until now. */
function drained(db: Kysely<StoreTables>, { drainPerSecond }: SharedBucket): RawBuilder<number> {
  const level = sql.ref('level')
  const elapsed = sql`(${moment(db, undefined)} - ${sql.ref('updated_at')})`
  const now = sql`${level} - ${elapsed} * ${sql.lit(drainPerSecond / 1000)}`
  return sql<number>`(case when ${elapsed} < ${sql.lit(-SET_BACK_MS)} then ${level} when ${now} < 0 then 0 else ${now} end)`
}
