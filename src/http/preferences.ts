import { refusal } from './problems.ts'

/** How a caller wants to be answered. */
export interface Preference {
  /** Queue the command and answer at once. */
  readonly async: boolean
  /** How long to wait for the reply otherwise. */
  readonly waitMs: number
  /** Value of the header `Preference-Applied`; absent when nothing was asked for. */
  readonly applied?: string
}

/** Seconds that a caller waits unless it says otherwise, and at most. */
export const WAIT_SECONDS = { usual: 60, most: 300 } as const

/**
 * Reads `Prefer: wait=SECONDS`, `Prefer: respond-async` and `?async=1`. More than 300 seconds count as 300;
 * `respond-async` wins over `wait`; what cannot be understood is passed over, as the standard asks.
 *
 * https://www.rfc-editor.org/rfc/rfc7240
 */
export function parsePreference(header: string | undefined, asyncQuery: unknown): Preference {
  const wishes = (header ?? '').split(',').map((wish) => wish.trim().toLowerCase())
  const usual = WAIT_SECONDS.usual * 1000
  if (wishes.includes('respond-async')) return { async: true, waitMs: usual, applied: 'respond-async' }
  if (asyncQuery === '1' || asyncQuery === 'true') return { async: true, waitMs: usual }
  for (const wish of wishes) {
    const seconds = /^wait *= *"?(\d{1,9})"?$/.exec(wish)?.[1]
    if (seconds === undefined) continue
    const wait = Math.min(Number(seconds), WAIT_SECONDS.most)
    return { async: false, waitMs: wait * 1000, applied: `wait=${wait}` }
  }
  return { async: false, waitMs: usual }
}

/**
 * The id in `Idempotency-Key`, with or without quotation marks; `undefined` when there is no such header. Throws
 * `IDEMPOTENCY_KEY_INVALID` for an empty, long or unprintable one.
 *
 * https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
 */
export function parseIdempotencyKey(header: string | undefined): string | undefined {
  if (header === undefined) return undefined
  const key = /^"(.*)"$/.exec(header.trim())?.[1] ?? header.trim()
  if (!isCommandId(key)) throw refusal('IDEMPOTENCY_KEY_INVALID')
  return key
}

/** True for what can be an id: it must fit into an AMQP property and a header. */
export function isCommandId(text: string): boolean {
  return /^[\x20-\x7e]{1,255}$/.test(text)
}
