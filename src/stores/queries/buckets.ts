import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'

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
