import type { OutboxRow } from './store.ts'

/**
 * Finds the row that ends processes, without blaming those that were in hand beside it.
 *
 * | taken before without an end | carried out |
 * | --- | --- |
 * | never, once | beside all others |
 * | twice | with up to 49 of its kind, which is one request; no other suspect is in hand meanwhile |
 * | more often | as the only suspect in hand; noted before, and taken back when the process has survived it |
 *
 * Only the notes convict. A process is also killed, or loses its database, through no fault of any row.
 */
export const SUSPECT_FROM = 2
const ALONE_FROM = 3
const TOGETHER = 50
/** Processes that may end while a row is tried alone. */
export const MOST_DEATHS = 2

/** `attempts` counts the taking under way. */
export function isSuspect({ attempts }: Pick<OutboxRow, 'attempts'>): boolean {
  return attempts > SUSPECT_FROM
}

/** It is tried alone, and noted. */
export function isTriedAlone({ attempts }: Pick<OutboxRow, 'attempts'>): boolean {
  return attempts > ALONE_FROM
}

/** Which of the suspects that are due are taken, when none is in hand; `attempts` counts takings before. */
export function chooseSuspects<R extends Pick<OutboxRow, 'attempts'>>(due: readonly R[]): readonly R[] {
  const [first] = due
  if (first !== undefined && first.attempts >= ALONE_FROM) return [first]
  return due.filter(({ attempts }) => attempts < ALONE_FROM).slice(0, TOGETHER)
}

/** Remembers over the end of a process what was being tried. */
export interface SuspectStore {
  /** How many processes have ended before while it was tried. */
  begin(id: string, now: number): Promise<number>
  end(id: string): Promise<void>
}

/** Notes that outlive the process. */
export interface Trials {
  /** How many processes have ended while it was tried alone. Rejects with a `StoreError`. */
  begin(row: OutboxRow): Promise<number>
  /** The process has survived it. Never rejects. */
  end(row: OutboxRow): Promise<void>
}

export function createTrials(store: SuspectStore, now: () => number): Trials {
  /** Trials that ended while the store was away: no reason to convict anybody. */
  const unheard = new Set<string>()
  // A table that was emptied gives the same numbers again.
  const idOf = ({ id, created_at }: OutboxRow): string => `outbox ${id} ${created_at}`
  return {
    async begin(row) {
      const id = idOf(row)
      if (unheard.has(id)) await store.end(id)
      unheard.delete(id)
      return store.begin(id, now())
    },
    async end(row) {
      const id = idOf(row)
      await store.end(id).catch(() => unheard.add(id))
    },
  }
}
