import type { RequestLimit } from '../../model/limits.ts'

/**
 * The portal's request counter, kept on our side. It rises by one with each request and drains all the time; the
 * functions are pure, the caller sleeps.
 *
 * The portal may drain in steps of a second and may count a request later than we sent it, so we stay one second of
 * draining below its capacity: then its counter is never above the limit whichever way it ticks.
 *
 * https://apidocs.bitrix24.com/limits.html
 */
export interface BucketState {
  /** The counter as it was at `at`. */
  readonly level: number
  readonly at: number
  /** No request before this moment: the portal said that its counter is full. */
  readonly frozenUntil: number
  /** Until then the capacity counts a tenth less, because somebody else shares it. */
  readonly cautiousUntil: number
}

/** An empty counter. */
export function emptyBucket(now: number): BucketState {
  return { level: 0, at: now, frozenUntil: 0, cautiousUntil: 0 }
}

/** The counter now, after draining. */
export function bucketLevel(state: BucketState, limit: RequestLimit, now: number): number {
  return Math.max(0, state.level - ((now - state.at) / 1000) * limit.drainPerSecond)
}

/** The highest level that we allow ourselves. */
export function safeCapacity(state: BucketState, limit: RequestLimit, now: number): number {
  const cautious = now < state.cautiousUntil ? limit.capacity * 0.1 : 0
  return Math.max(1, limit.capacity - limit.drainPerSecond - cautious)
}

/** Places left for requests now; a fraction means that one more is on its way. */
export function freePlaces(state: BucketState, limit: RequestLimit, now: number): number {
  if (now < state.frozenUntil) return 0
  return Math.max(0, safeCapacity(state, limit, now) - bucketLevel(state, limit, now))
}

/** Milliseconds until a request may go while `reserve` places stay free behind it; 0 means now. */
export function bucketWaitMs(state: BucketState, limit: RequestLimit, now: number, reserve = 0): number {
  const frozen = Math.max(0, state.frozenUntil - now)
  const capacity = safeCapacity(state, limit, now)
  const target = Math.max(0, capacity - 1 - Math.min(reserve, capacity - 1))
  const over = bucketLevel(state, limit, now) - target
  // A thousandth of a place is rounding, not a request too many.
  const drain = over <= 0.001 ? 0 : (over / limit.drainPerSecond) * 1000
  return Math.ceil(Math.max(frozen, drain))
}

/** The state after one more request. */
export function takePlace(state: BucketState, limit: RequestLimit, now: number): BucketState {
  return { ...state, level: bucketLevel(state, limit, now) + 1, at: now }
}

/**
 * The portal refused a request with `QUERY_LIMIT_EXCEEDED`: believe it rather than our count. The counter is taken
 * for full, rests for a second, and for five minutes we use a tenth less of it.
 */
export function bucketOverflowed(state: BucketState, limit: RequestLimit, now: number): BucketState {
  return {
    level: Math.max(limit.capacity, bucketLevel(state, limit, now)),
    at: now,
    frozenUntil: now + 1000,
    cautiousUntil: now + 5 * 60_000,
  }
}
