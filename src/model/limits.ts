/**
 * A portal's request limit: the level rises by one with each request and drains by `drainPerSecond` every second;
 * a request that would leave it above `capacity` is refused with 503 `QUERY_LIMIT_EXCEEDED`.
 *
 * https://apidocs.bitrix24.com/limits.html
 */
export interface RequestLimit {
  /** Requests that may come at once from an empty counter; 50 on most plans, 250 on Enterprise. */
  readonly capacity: number
  /** Requests a second for ever; 2 on most plans, 5 on Enterprise. */
  readonly drainPerSecond: number
}

/** The limit of most cloud plans. */
export const STANDARD_LIMIT: RequestLimit = { capacity: 50, drainPerSecond: 2 }
/** The limit of the Enterprise plan. */
export const ENTERPRISE_LIMIT: RequestLimit = { capacity: 250, drainPerSecond: 5 }

/**
 * Reads `standard`, `enterprise`, `off` or `X/Y` such as `50/2` (capacity / drain a second; fractions allowed).
 * Gives `null` for `off` and `undefined` for anything else.
 */
export function parseRequestLimit(text: string): RequestLimit | null | undefined {
  const word = text.trim().toLowerCase()
  if (word === 'standard') return STANDARD_LIMIT
  if (word === 'enterprise') return ENTERPRISE_LIMIT
  if (word === 'off') return null
  const match = /^(\d+(?:\.\d+)?)\/(\d+(?:\.\d+)?)$/.exec(word)
  if (match === null) return undefined
  const limit = { capacity: Number(match[1]), drainPerSecond: Number(match[2]) }
  return limit.capacity >= 1 && limit.drainPerSecond > 0 ? limit : undefined
}
