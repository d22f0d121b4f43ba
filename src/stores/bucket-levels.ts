import { loadBuckets, saveBucket } from './queries/buckets.ts'
import type { Store } from './store.ts'

/** The request counters of the portals as the last process left them, drained by the time that has passed. */
export async function bucketLevels(
  { db }: Store,
  now: () => number,
  onUnsaved: (error: unknown) => void,
): Promise<{
  load(domain: string, limit: { readonly drainPerSecond: number } | null | undefined): number
  save(domain: string, level: number): void
}> {
  const saved = await loadBuckets(db)
  return {
    load(domain, limit) {
      const bucket = saved.get(domain)
      if (bucket === undefined || limit === null || limit === undefined) return 0
      const seconds = Math.max(0, now() - bucket.updatedAt) / 1000
      return Math.max(0, bucket.level - seconds * limit.drainPerSecond)
    },
    save(domain, level) {
      const bucket = { level, updatedAt: now() }
      // A lane that was closed while idle begins again where it stood.
      saved.set(domain, bucket)
      saveBucket(db, domain, bucket).catch(onUnsaved)
    },
  }
}
