import type { AnswerTime } from '../../model/call.ts'

/**
 * Keeps the seconds that each method has used under each credential, as the portal reports them, and says until
 * when a method should rest. The portal allows about 480 seconds in ten minutes and then refuses that method alone.
 *
 * | used of the limit | what happens |
 * | --- | --- |
 * | below 80 % | nothing |
 * | 80–95 % | each answer makes the method rest in proportion, so that what is left lasts until the reset |
 * | above 95 % | the method rests until the reset |
 * | refused (`OPERATION_TIME_LIMIT`) | until the reset if it is known, else 10, 20, 40, 60 s |
 *
 * https://apidocs.bitrix24.com/limits.html
 */
export interface OperatingBudget {
  /** Milliseconds on the lane's clock before which the method may not be called; 0 when it may. */
  restUntil(credential: string, method: string): number
  /** Takes in the `time` of an answer; anything may be missing in it. */
  observe(credential: string, method: string, time: AnswerTime, now: number): void
  /** The portal refused the method. Gives the moment until which it rests. */
  refused(credential: string, method: string, now: number): number
  /** The highest share of the limit that any method has used lately, 0 to 1 and above. */
  highestShare(now: number): number
}

interface Entry {
  operating: number
  resetAt: number
  restUntil: number
  refusals: number
}

/** `limitSeconds` 0 turns the budget off; a refusal by the portal still makes the method rest. */
export function createOperatingBudget(limitSeconds: number): OperatingBudget {
  const entries = new Map<string, Entry>()
  const keyOf = (credential: string, method: string): string => `${credential} ${method}`
  const entryOf = (credential: string, method: string): Entry => {
    const key = keyOf(credential, method)
    let entry = entries.get(key)
    if (entry === undefined) {
      entry = { operating: 0, resetAt: 0, restUntil: 0, refusals: 0 }
      entries.set(key, entry)
    }
    return entry
  }

  return {
    restUntil: (credential, method) => entries.get(keyOf(credential, method))?.restUntil ?? 0,

    observe(credential, method, time, now) {
      if (typeof time.operating !== 'number') return
      const entry = entryOf(credential, method)
      const spent = Math.max(0, time.operating - entry.operating)
      entry.operating = time.operating
      entry.refusals = 0
      if (typeof time.operating_reset_at === 'number') {
        // The portal's clock may differ from ours, so only the distance to its own `finish` is used.
        const seconds = typeof time.finish === 'number' ? time.operating_reset_at - time.finish : 600
        entry.resetAt = now + Math.min(600, Math.max(1, seconds + 1)) * 1000
      } else if (entry.resetAt <= now) {
        entry.resetAt = now + 600_000
      }
      if (limitSeconds <= 0) return
      const share = time.operating / limitSeconds
      if (share > 0.95) entry.restUntil = entry.resetAt
      else if (share > 0.8) {
        const left = limitSeconds * 0.95 - time.operating
        entry.restUntil = now + Math.min(1, spent / left) * (entry.resetAt - now)
      } else entry.restUntil = 0
    },

    refused(credential, method, now) {
      const entry = entryOf(credential, method)
      const guess = now + Math.min(60_000, 10_000 * 2 ** entry.refusals)
      entry.restUntil = entry.refusals === 0 && entry.resetAt > now ? entry.resetAt : guess
      entry.refusals++
      return entry.restUntil
    },

    highestShare(now) {
      if (limitSeconds <= 0) return 0
      let highest = 0
      for (const entry of entries.values()) {
        if (entry.resetAt > now) highest = Math.max(highest, entry.operating / limitSeconds)
      }
      return highest
    },
  }
}
