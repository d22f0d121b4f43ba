/** The portal's request counter: the level may reach `capacity`, one request may pass it, the next is refused. */
export interface RequestLimits {
  readonly capacity: number
  readonly drainPerSecond: number
}

/** How the counter is told to behave where the documentation leaves it open. */
export interface BucketHabits {
  /** `tick`: the level falls once a second, counted from the first request after idleness; `continuous`: all the time. */
  readonly drain: 'tick' | 'continuous'
  /** Refused requests raise the level too. */
  readonly refusalsCount: boolean
}

/**
 * The leaky bucket of one portal and one source address.
 *
 * With 50 and 2: fifty requests bring the level to 50, one more passes it, the 52nd of a burst is refused; a second
 * later two fit again. https://apidocs.bitrix24.com/limits.html
 */
export class RequestBucket {
  level = 0
  /** The highest level ever seen. */
  peak = 0
  #drainedAtMs = 0

  /** Counts a request; false refuses it. */
  take(nowMs: number, limits: RequestLimits, habits: BucketHabits): boolean {
    this.#drain(nowMs, limits.drainPerSecond, habits.drain)
    const allowed = this.level <= limits.capacity
    if (allowed || habits.refusalsCount) this.level += 1
    if (this.level > this.peak) this.peak = this.level
    return allowed
  }

  /** The level at a moment. */
  levelAt(nowMs: number, limits: RequestLimits, habits: BucketHabits): number {
    this.#drain(nowMs, limits.drainPerSecond, habits.drain)
    return this.level
  }

  #drain(nowMs: number, drainPerSecond: number, drain: BucketHabits['drain']): void {
    if (this.level === 0) {
      this.#drainedAtMs = nowMs
      return
    }
    const seconds = (nowMs - this.#drainedAtMs) / 1000
    const counted = drain === 'tick' ? Math.floor(seconds) : seconds
    if (counted <= 0) return
    this.level = Math.max(0, this.level - counted * drainPerSecond)
    this.#drainedAtMs = this.level === 0 ? nowMs : this.#drainedAtMs + counted * 1000
  }
}

/** Seconds spent lately by one method under one credential, and when (unix seconds) the oldest of them expire. */
export interface OperatingUse {
  readonly seconds: number
  readonly resetAt: number
}

interface MinuteBucket {
  readonly firstMs: number
  seconds: number
}

const LIFETIME_MS = 600_000

/** Calls of one method in one request that take no longer than this together are not accounted. */
const FREE_SECONDS = 0.1

/**
 * Execution seconds per method and credential over the last ten minutes, in one-minute buckets. A bucket lives for
 * ten minutes from the first call recorded in it. https://apidocs.bitrix24.com/limits.html
 */
export class OperatingLedger {
  readonly #buckets = new Map<string, MinuteBucket[]>()

  /** What is on record, plus `currentSeconds` of the request in work, as `time.operating` shows it. */
  use(key: string, nowMs: number, currentSeconds = 0): OperatingUse {
    const live = this.#live(key, nowMs)
    let seconds = currentSeconds > FREE_SECONDS ? currentSeconds : 0
    for (const bucket of live) seconds += bucket.seconds
    return { seconds, resetAt: Math.floor(((live[0]?.firstMs ?? nowMs) + LIFETIME_MS) / 1000) }
  }

  /** Records what one request spent on one method. */
  record(key: string, nowMs: number, seconds: number): void {
    if (seconds <= FREE_SECONDS) return
    const live = this.#live(key, nowMs)
    const last = live.at(-1)
    if (last !== undefined && Math.floor(last.firstMs / 60_000) === Math.floor(nowMs / 60_000))
      last.seconds += seconds
    else live.push({ firstMs: nowMs, seconds })
    this.#buckets.set(key, live)
  }

  #live(key: string, nowMs: number): MinuteBucket[] {
    const known = this.#buckets.get(key)
    if (known === undefined) return []
    while (known[0] !== undefined && known[0].firstMs + LIFETIME_MS <= nowMs) known.shift()
    return known
  }
}
