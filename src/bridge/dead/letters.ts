import type { DeadLetter, LetterContent, LetterFilter, LetterPage } from '../../model/dead-letter.ts'
import { refuseLetter } from './refusals.ts'
import { type RetryOptions, type RetryParts, retryLetter, type Sent } from './retry.ts'
import { MOST_LETTERS, type RetriedMany, type RetryManyOptions, retryMany } from './retry-many.ts'

/** A letter with the message in it. */
export interface WholeLetter {
  readonly letter: DeadLetter
  readonly content: LetterContent
}

/** Dead letters for operators: what the command line and the routes of HTTP work with. */
export interface DeadLetters {
  list(filter: LetterFilter, page: { readonly after?: string; readonly limit: number }): Promise<LetterPage>
  count(filter: LetterFilter): Promise<number>
  /** Throws `LETTER_UNKNOWN`. */
  show(id: string): Promise<WholeLetter>
  /** See `retryLetter`. */
  retry(id: string, options: RetryOptions): Promise<Sent>
  /** See `retryMany`. */
  retryMany(filter: LetterFilter, options: RetryManyOptions): Promise<RetriedMany>
  /** Forgets a letter for good. Throws `LETTER_UNKNOWN`. */
  drop(id: string, by: string): Promise<void>
  /** Forgets all that fit and were set aside before now, for good. Ends after the letter in hand when the signal aborts. */
  dropMany(filter: LetterFilter, options: DropManyOptions): Promise<DroppedMany>
  /** Every letter that fits, the oldest first, read as it is asked for. */
  each(filter: LetterFilter): AsyncIterable<WholeLetter>
}

/** How many letters are to be forgotten. */
export interface DropManyOptions {
  /** Who wants it: `cli:ann@host`. */
  readonly by: string
  /** 10,000 unless set. */
  readonly limit?: number
  /** Drops nothing, and says how many it would. */
  readonly dryRun?: boolean
  readonly signal?: AbortSignal
}

/** What became of them. */
export interface DroppedMany {
  readonly dropped: number
  /** With `dryRun`. */
  readonly wouldDrop: number
  /** False when it was ended before all were gone. */
  readonly whole: boolean
}

const PAGE = 100

export function createDeadLetters(parts: RetryParts): DeadLetters {
  const { store, log } = parts

  /** The oldest first. */
  async function* summaries(filter: LetterFilter): AsyncGenerator<DeadLetter> {
    for (let after: string | undefined; ; ) {
      const page = { limit: PAGE, order: 'oldest' as const }
      const { letters, next } = await store.list(filter, after === undefined ? page : { ...page, after })
      yield* letters
      if (next === undefined) return
      after = next
    }
  }

  return {
    list: (filter, page) => store.list(filter, page),
    count: (filter) => store.count(filter),
    async show(id) {
      const letter = await store.find(id)
      const content = letter && (await store.content(id))
      if (letter === undefined || content === undefined) throw refuseLetter('LETTER_UNKNOWN')
      return { letter, content }
    },
    retry: (id, options) => retryLetter(parts, id, options),
    retryMany: (filter, options) => retryMany(parts, filter, options),
    async drop(id, by) {
      if (!(await store.drop(id))) throw refuseLetter('LETTER_UNKNOWN')
      log('dead.dropped', { letter: id, by })
    },
    async dropMany(filter, { by, limit = MOST_LETTERS, dryRun = false, signal }) {
      const began = parts.now()
      // What is set aside meanwhile was in nobody's mind.
      const snapshot = { ...filter, until: Math.min(filter.until ?? began, began) }
      if (dryRun) {
        const wouldDrop = Math.min(limit, await store.count(snapshot))
        return { dropped: 0, wouldDrop, whole: true }
      }
      let dropped = 0
      for await (const { id } of summaries(snapshot)) {
        if (dropped >= limit || signal?.aborted === true) break
        if (await store.drop(id)) dropped++
      }
      log('dead.dropped', { count: dropped, by })
      return { dropped, wouldDrop: 0, whole: signal?.aborted !== true }
    },
    async *each(filter) {
      for await (const letter of summaries(filter)) {
        const content = await store.content(letter.id)
        // Dropped meanwhile.
        if (content !== undefined) yield { letter, content }
      }
    },
  }
}
