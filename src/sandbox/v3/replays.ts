import type { Answer } from '../method.ts'

/** What was carried out under a key. */
interface Kept {
  readonly atMs: number
  readonly request: string
  readonly answer: Answer
}

const LIFETIME_MS = 24 * 60 * 60_000

/**
 * Answers of REST v3 by the key of their requests, for a day. Failures are not kept: under their keys the method runs
 * again.
 *
 * https://apidocs.bitrix24.com/api-reference/rest-v3.html
 */
export class Replays {
  readonly #kept = new Map<string, Kept>()

  /** The answer to the same request; `'other'` when the key served for another one. */
  find(key: string, request: string, nowMs: number): Answer | 'other' | undefined {
    const kept = this.#kept.get(key)
    if (kept === undefined || kept.atMs + LIFETIME_MS <= nowMs) return undefined
    return kept.request === request ? kept.answer : 'other'
  }

  keep(key: string, request: string, answer: Answer, nowMs: number): void {
    for (const [old, { atMs }] of this.#kept) {
      if (atMs + LIFETIME_MS > nowMs) break
      this.#kept.delete(old)
    }
    this.#kept.delete(key)
    this.#kept.set(key, { atMs: nowMs, request, answer })
  }
}
