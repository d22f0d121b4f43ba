import { isSuspension } from '../../../client/decode.ts'
import {
  AuthError,
  type BridgeError,
  BrokerError,
  CommandError,
  RestError,
  StoreError,
  ThrottledError,
} from '../../../model/errors.ts'

/** How often queues are looked into that nobody called about. */
export interface PollTimes {
  /** After a look that found something. */
  readonly pollMs: number
  /** After many looks that found nothing. */
  readonly idlePollMs: number
}

/** All queues of all portals together are looked into so often a second at most. */
export const POLLS_A_SECOND = 5

/**
 * Milliseconds until the next look: it doubles with each look that finds nothing, up to the idle time, or to what all
 * queues together allow. A tenth more or less, so that portals do not meet.
 *
 * | queues | idle looks every | requests a second, all together |
 * | --- | --- | --- |
 * | 100 | 15 min | 0.1 |
 * | 4,500 | 15 min | 5 |
 * | 10,000 | 33 min | 5 |
 */
export function nextPollMs(
  { pollMs, idlePollMs }: PollTimes,
  { idlePolls, queues }: { readonly idlePolls: number; readonly queues: number },
  random: () => number,
): number {
  const longest = Math.max(idlePollMs, (queues / POLLS_A_SECOND) * 1000)
  const wait = Math.min(longest, pollMs * 2 ** Math.min(idlePolls, 20))
  return Math.round(wait * (0.9 + 0.2 * random()))
}

/** What trouble asks for: another try with what is held, another scheme, or a long rest. */
export type Remedy =
  | { readonly kind: 'again' | 'rest'; readonly ms: number }
  | { readonly kind: 'other-scheme' }

const HOUR_MS = 3_600_000

/** What to do after trouble, when it is the so manyth in a row, from 1. */
export function remedyFor(error: BridgeError, tries: number): Remedy {
  const again = { kind: 'again', ms: Math.min(30_000, 500 * 2 ** Math.min(tries, 10)) } as const
  if (error.code === 'WRONG_LICENSE') return { kind: 'other-scheme' }
  if (error instanceof StoreError || error instanceof BrokerError) return again
  // Nobody may call this portal now: a look at the store tells when that has changed.
  if (error instanceof AuthError || isSuspension(error) || REST.has(error.code))
    return { kind: 'rest', ms: HOUR_MS / 4 }
  if (error instanceof ThrottledError) return again
  if (error instanceof RestError || error instanceof CommandError) {
    return error.code === 'DEADLINE_EXCEEDED' ? { kind: 'rest', ms: 60_000 } : { kind: 'rest', ms: HOUR_MS }
  }
  return tries < 6 ? again : { kind: 'rest', ms: 5 * 60_000 }
}

const REST = new Set([
  'PORTAL_SUSPENDED',
  'PORTAL_UNKNOWN',
  'TOKENS_DEAD',
  'APPLICATION_UNKNOWN',
  'CLIENT_CLOSED',
])
