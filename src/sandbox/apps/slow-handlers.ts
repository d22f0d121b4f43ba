/** When a handler counts as slow, and what that costs it. */
export interface SlowRule {
  /** An answer that took longer makes the address slow; a faster one makes it good again. */
  readonly slowHandlerMs: number
  /** How much later requests to a slow address are sent; 0 is no punishment. */
  readonly slowHandlerDelayMs: number
}

/**
 * Which addresses answered slowly the last time. Pure; the caller measures and waits.
 *
 * https://apidocs.bitrix24.com/settings/performance/index.html
 */
export class SlowHandlers {
  readonly #rule: SlowRule
  readonly #slow = new Map<string, { delayed: number }>()

  constructor(rule: SlowRule) {
    this.#rule = rule
  }

  /** Milliseconds that the next request to this address waits; counts it when there are some. */
  delay(url: string): number {
    const known = this.#slow.size === 0 ? undefined : this.#slow.get(url)
    if (known === undefined || this.#rule.slowHandlerDelayMs === 0) return 0
    known.delayed += 1
    return this.#rule.slowHandlerDelayMs
  }

  /** Notes how long a request took, whatever came of it. */
  took(url: string, ms: number): void {
    if (ms <= this.#rule.slowHandlerMs) this.#slow.delete(url)
    else if (!this.#slow.has(url)) this.#slow.set(url, { delayed: 0 })
  }

  /** Addresses that are slow now, and how many requests to each were held back. */
  stats(): Record<string, number> {
    return Object.fromEntries(Array.from(this.#slow, ([url, { delayed }]) => [withoutQuery(url), delayed]))
  }
}

/** An address without what stands behind its question mark, which may be a secret. */
export function withoutQuery(url: string): string {
  return url.split('?', 1)[0] ?? url
}
