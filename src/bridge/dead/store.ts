import type { DeadLetter, LetterContent, LetterFilter, LetterPage } from '../../model/dead-letter.ts'

/** What is needed of a store to keep dead letters. */
export interface DeadLetterStore {
  /** Keeps a letter once; a known id gives the state of the one that is there, and nothing is written. */
  insert(letter: DeadLetter, content: LetterContent): Promise<'new' | DeadLetter['state']>
  find(id: string): Promise<DeadLetter | undefined>
  content(id: string): Promise<LetterContent | undefined>
  list(
    filter: LetterFilter,
    page: { readonly after?: string; readonly limit: number; readonly order?: 'newest' | 'oldest' },
  ): Promise<LetterPage>
  count(filter: LetterFilter): Promise<number>
  /** The right to send it again, for a while; false when somebody else has it, or had it since it was read. */
  claim(
    id: string,
    claim: { readonly by: string; readonly at: number; readonly ttlMs: number; readonly retries: number },
  ): Promise<boolean>
  settle(id: string, sent: boolean): Promise<void>
  drop(id: string): Promise<boolean>
}
