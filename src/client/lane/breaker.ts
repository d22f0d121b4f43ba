import type { BridgeError } from '../../model/errors.ts'

/**
 * Keeps a lane from hammering a portal that is down, and remembers why it stands still.
 *
 * States: *closed* (the portal answers); *open* (rest until `openUntil`); *probing* (the rest is over, but no answer
 * yet: one small request at a time). Any answer from the portal, a refusal too, closes it.
 *
 * | cause | rest |
 * | --- | --- |
 * | no connection | 0.25 s, 0.5 s, 1 s … up to 30 s |
 * | broken answers (cut, a web page, 5xx): the fifth in a row and each one after it | the same |
 * | portal deleted, payment required | 10 minutes |
 * | blocked by hand (`OVERLOAD_LIMIT`) | 1 hour |
 */
export interface Breaker {
  /** The moment before which nothing may be sent; 0 when closed. */
  readonly openUntil: number
  /** True while the portal has not answered since it was given up: send one small request at a time. */
  readonly probing: boolean
  /** What opened it; `undefined` when closed. */
  readonly reason: BridgeError | undefined
  /** Since when the portal has not answered; 0 when closed. */
  readonly since: number
  /** A request got no usable answer. `unsent`: it never reached the portal. */
  failed(error: BridgeError, unsent: boolean, now: number): void
  /** Gives milliseconds until the next try. */
  suspended(error: BridgeError, now: number): number
  /** Another process was told to stay away: rests for as long; `undefined` ends a rest that was learned so. */
  learned(error: BridgeError | undefined, ms: number, now: number): void
  answered(): void
}

const SUSPENSIONS_MS: Readonly<Record<string, number>> = { overload_limit: 3_600_000 }
const BROKEN_IN_A_ROW = 5

export function createBreaker(): Breaker {
  let broken = 0
  let rests = 0
  let openUntil = 0
  let reason: BridgeError | undefined
  let since = 0
  let learnt: BridgeError | undefined
  return {
    get openUntil() {
      return openUntil
    },
    get probing() {
      return reason !== undefined
    },
    get reason() {
      return reason
    },
    get since() {
      return since
    },
    failed(error, unsent, now) {
      broken++
      if (!unsent && broken < BROKEN_IN_A_ROW) return
      openUntil = Math.max(openUntil, now + Math.min(30_000, 250 * 2 ** rests))
      rests++
      if (reason === undefined) since = now
      reason = error
    },
    suspended(error, now) {
      const ms = SUSPENSIONS_MS[error.code.toLowerCase()] ?? 600_000
      openUntil = now + ms
      if (reason === undefined) since = now
      reason = error
      return ms
    },
    learned(error, ms, now) {
      if (error === undefined) {
        if (reason === learnt) this.answered()
        return
      }
      // What this process has found out itself counts more.
      if (reason !== undefined && reason !== learnt) return
      openUntil = now + ms
      if (reason === undefined) since = now
      reason = error
      learnt = error
    },
    answered() {
      broken = 0
      rests = 0
      openUntil = 0
      since = 0
      reason = undefined
      learnt = undefined
    },
  }
}
