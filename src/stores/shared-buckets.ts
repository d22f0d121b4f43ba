import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../model/errors.ts'
import { fillBucket, levelOf, type SharedBucket, takePlaces } from './queries/buckets.ts'
import { forgetInstance, seeInstance } from './queries/instances.ts'
import type { Store } from './store.ts'

interface Limit {
  readonly capacity: number
  readonly drainPerSecond: number
}

interface Ask {
  readonly most: number
  readonly capacity: number
}

interface Taken {
  readonly granted: number
  readonly level?: number
}

export interface SharedBucketsOptions {
  readonly store: Store
  /** This process; different for each. */
  readonly owner: string
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** The request counters of all portals, counted in the store for all processes together. */
export interface SharedBuckets {
  counter(domain: string, limit: Limit): { take(ask: Ask): Promise<Taken>; overflowed(): void }
  /** Processes that share the store, this one included, as last heard. */
  instances(): number
  close(): Promise<void>
}

const BEAT_MS = 10_000
/** A store that takes longer to answer is taken for away; places that it grants later are lost, not used. */
const PATIENCE_MS = 1000
const ASK_AGAIN_MS = 2000
/** A portal that says it is full is left alone for so long. */
const FULL_MS = 1000

/**
 * Each request takes its place in the store by one statement. While the store cannot be reached, every process uses a
 * share of its own, small enough that all of them together, and one that has just been started, stay below the limit.
 */
export async function openSharedBuckets(options: SharedBucketsOptions): Promise<SharedBuckets> {
  const { store, owner, now, log } = options
  const { db } = store
  let instances = await seeInstance(db, owner)
  let away = false
  /** While it is away, the store is not asked again before this moment. */
  let askAgainAt = 0
  const beat = setInterval(() => {
    seeInstance(db, owner).then(
      (count) => {
        instances = count
      },
      () => undefined,
    )
  }, BEAT_MS).unref()

  function tellAway(error: unknown): void {
    askAgainAt = now() + ASK_AGAIN_MS
    if (away) return
    away = true
    log('bucket.alone', { instances, reason: error instanceof Error ? error.message : String(error) })
  }

  async function takeShared(bucket: SharedBucket, { most, capacity }: Ask): Promise<Taken> {
    if (await takePlaces(db, bucket, { places: most, capacity })) return { granted: most }
    const level = await levelOf(db, bucket)
    const places = Math.min(most, Math.floor(capacity - level))
    if (places > 0 && (await takePlaces(db, bucket, { places, capacity }))) return { granted: places }
    return { granted: 0, level }
  }

  return {
    counter(domain, limit) {
      const bucket = { key: domain, drainPerSecond: limit.drainPerSecond }
      const alone = createShare(limit, () => instances + 1, now)
      return {
        async take(ask) {
          if (away && now() < askAgainAt) return alone.take()
          try {
            // What was sent while the store was away is counted first.
            const owed = alone.owed()
            if (owed > 0)
              await inTime(takePlaces(db, bucket, { places: owed, capacity: Number.MAX_SAFE_INTEGER }))
            alone.paid(owed)
            const taken = await inTime(takeShared(bucket, ask))
            if (away) log('bucket.shared', { instances })
            away = false
            return taken
          } catch (error) {
            tellAway(error)
            return alone.take()
          }
        },
        overflowed() {
          fillBucket(db, bucket, { capacity: limit.capacity, forMs: FULL_MS }).catch(tellAway)
        },
      }
    },
    instances: () => instances,
    async close() {
      clearInterval(beat)
      await forgetInstance(db, owner).catch(() => undefined)
    },
  }
}

/** What the work gives, unless it takes too long. */
async function inTime<T>(work: Promise<T>): Promise<T> {
  const stop = new AbortController()
  const late = sleep(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => {
    throw new StoreError('STORE_FAILED', 'The store takes too long to answer')
  })
  work.catch(() => undefined)
  late.catch(() => undefined)
  return Promise.race([work, late]).finally(() => stop.abort())
}

/** The places of one process that cannot ask the others: none at first, then its part of what drains. */
function createShare({ drainPerSecond }: Limit, parts: () => number, now: () => number) {
  let nextAt: number | undefined
  let owed = 0
  return {
    take(): Taken {
      const at = now()
      const everyMs = (1000 / drainPerSecond) * parts()
      nextAt ??= at + everyMs
      if (at < nextAt) return { granted: 0 }
      nextAt = at + everyMs
      owed++
      return { granted: 1 }
    },
    owed: () => owed,
    paid(places: number) {
      owed -= places
      nextAt = undefined
    },
  }
}
