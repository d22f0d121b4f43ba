import { setTimeout as sleep } from 'node:timers/promises'
import type { DeadLetter, LetterFilter } from '../../model/dead-letter.ts'
import { BridgeError } from '../../model/errors.ts'
import { addressOf, type RetryOptions, type RetryParts, retryLetter } from './retry.ts'

/** How many letters are to be sent again. */
export interface RetryManyOptions extends Pick<RetryOptions, 'by' | 'newId' | 'queue' | 'again' | 'dryRun'> {
  /** 20 unless set. */
  readonly ratePerSecond?: number
  /** Letters looked at, at most; 10,000 unless set. */
  readonly limit?: number
  readonly signal?: AbortSignal
  /** Told of each letter as it is done. */
  readonly onEach?: (one: RetriedOne) => void
}

/** What became of one of many. */
export interface RetriedOne {
  readonly letter: DeadLetter
  readonly end: 'sent' | 'would-send' | 'skipped' | 'failed'
  /** Code and sentence of what kept it. */
  readonly code?: string
  readonly why?: string
}

/** What became of all of them. */
export interface RetriedMany {
  readonly sent: number
  /** With `dryRun`. */
  readonly wouldSend: number
  /** Not to be sent: in doubt, without a queue, or sent before. */
  readonly skipped: number
  readonly failed: number
  /** False when it was ended before all letters were done. */
  readonly whole: boolean
  /** Those that were not sent, the first 100. */
  readonly problems: readonly RetriedOne[]
}

export const RATE_PER_SECOND = 20
export const MOST_LETTERS = 10_000
const PAGE = 100
const MOST_PROBLEMS = 100

/**
 * Sends all letters again that fit the filter, the oldest first, evenly at a rate. Only letters that were set aside
 * before it began: one that fails again is a new letter, and is left alone. One that cannot be sent holds up no other.
 * When the signal aborts it ends after the letter in hand.
 */
export async function retryMany(
  parts: RetryParts,
  filter: LetterFilter,
  options: RetryManyOptions,
): Promise<RetriedMany> {
  const { now, store } = parts
  const { signal, limit = MOST_LETTERS } = options
  const over = (): boolean => signal?.aborted === true
  const began = now()
  const snapshot = { state: 'open' as const, ...filter, until: Math.min(filter.until ?? began, began) }
  const pace = createPace(options.ratePerSecond ?? RATE_PER_SECOND, now, signal)
  const count = { sent: 0, 'would-send': 0, skipped: 0, failed: 0 }
  const problems: RetriedOne[] = []
  const seen = new Set<string>()
  let looked = 0
  for (let after: string | undefined; looked < limit && !over(); ) {
    const page = { limit: Math.min(PAGE, limit - looked), order: 'oldest' as const }
    const { letters, next } = await store.list(snapshot, after === undefined ? page : { ...page, after })
    for (const letter of letters) {
      if (over()) break
      looked++
      // Clocks of two processes may differ: what came back from this very run is not sent round and round.
      if (letter.retryOf !== undefined && seen.has(letter.retryOf)) continue
      seen.add(letter.id)
      const one = await retryOne(parts, letter, options, pace)
      if (one === undefined) break
      count[one.end]++
      if ((one.end === 'skipped' || one.end === 'failed') && problems.length < MOST_PROBLEMS)
        problems.push(one)
      options.onEach?.(one)
    }
    if (next === undefined) break
    after = next
  }
  return {
    sent: count.sent,
    wouldSend: count['would-send'],
    skipped: count.skipped,
    failed: count.failed,
    whole: !over(),
    problems,
  }
}

/** `undefined` when the signal aborted before its turn came. */
async function retryOne(
  parts: RetryParts,
  letter: DeadLetter,
  options: RetryManyOptions,
  pace: () => Promise<boolean>,
): Promise<RetriedOne | undefined> {
  try {
    addressOf(letter, options)
    if (options.dryRun === true) return { letter, end: 'would-send' }
  } catch (error) {
    return { letter, end: 'skipped', ...problemOf(error) }
  }
  if (!(await pace())) return undefined
  try {
    await retryLetter(parts, letter.id, options)
    return { letter, end: 'sent' }
  } catch (error) {
    return { letter, end: 'failed', ...problemOf(error) }
  }
}

function problemOf(error: unknown): { code: string; why: string } {
  if (!(error instanceof BridgeError)) throw error
  return { code: error.code, why: error.message }
}

/** Resolves when the next one may go, and says whether it still is to: `false` after the signal. */
function createPace(
  perSecond: number,
  now: () => number,
  signal: AbortSignal | undefined,
): () => Promise<boolean> {
  const gap = 1000 / perSecond
  let nextAt = Number.NEGATIVE_INFINITY
  return async () => {
    const at = now()
    const wait = nextAt - at
    nextAt = Math.max(nextAt, at) + gap
    if (wait > 0) await sleep(wait, undefined, signal && { signal }).catch(() => undefined)
    return signal?.aborted !== true
  }
}
