const SECOND = 1000
const MINUTE = 60 * SECOND

/**
 * How long to wait after the n-th error in a row. Push servers block clients that ignore this.
 *
 * | errors in a row | wait |
 * | --- | --- |
 * | 1 | 0.1 s |
 * | 2 | 15 s |
 * | 3 to 5 | 45 s |
 * | 6 to 10 | 10 minutes |
 * | more | 1 hour |
 *
 * Up to a fifth is added, so that connections which broke together do not come back together; never less is waited.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export function backoffMs(errors: number, random: () => number): number {
  return Math.round(plainMs(errors) * (1 + 0.2 * random()))
}

function plainMs(errors: number): number {
  if (errors <= 1) return 100
  if (errors <= 2) return 15 * SECOND
  if (errors <= 5) return 45 * SECOND
  return errors <= 10 ? 10 * MINUTE : 60 * MINUTE
}

/** Any moment between two. */
export function between(leastMs: number, mostMs: number, random: () => number): number {
  return Math.round(leastMs + (mostMs - leastMs) * random())
}
