/** One call of a round, and what it is for. */
export type ReserveStep =
  | { readonly kind: 'clear' | 'report'; readonly processId: string; readonly messageIds: readonly string[] }
  | { readonly kind: 'list-reserved' }
  | ({ readonly kind: 'reread' } & ReservedSet)
  | { readonly kind: 'reserve' }
  | { readonly kind: 'count' }

/** Rows under one process id that is not ours: those of a reader that crashed, or of an answer that was lost. */
export interface ReservedSet {
  readonly processId: string
  /** They were hidden before they were reserved. */
  readonly hidden: boolean
}

/** What the plan of a round depends on. */
export interface ReserveState {
  /** What is confirmed, and what the broker will never take, by process. */
  readonly settled: readonly Extract<ReserveStep, { messageIds: readonly string[] }>[]
  /** Rows that wait unreserved, as far as known. */
  readonly expected: number | undefined
  /** Some rows may be reserved that nobody knows of: they are listed. */
  readonly suspicious: boolean
  /** Those that were listed. */
  readonly orphans: readonly ReservedSet[]
}

/** Orphans that one round reads at most; more would be held in memory for no gain. */
const ORPHANS = 20

/**
 * The calls of the next request, in the order in which the portal carries them out.
 *
 * | first | then | at last |
 * | --- | --- | --- |
 * | what is confirmed is cleared | orphans are read, or listed where there may be some | as many reads as the rest needs, and a count where the end is near or nothing is known |
 *
 * So a full round costs one request. Commands of one batch run one after another, so its reads never share a row.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function planReserve(
  { settled, expected, suspicious, orphans }: ReserveState,
  { limit, most }: { readonly limit: number; readonly most: number },
): ReserveStep[] {
  const steps: ReserveStep[] = settled.slice(0, most)
  const room = (): number => most - steps.length
  if (orphans.length > 0) {
    // What is older comes first.
    const some = orphans.slice(0, Math.min(ORPHANS, room()))
    return [...steps, ...some.map((set) => ({ kind: 'reread', ...set }) as const)]
  }
  if (suspicious && room() > 0) steps.push({ kind: 'list-reserved' })
  if (expected === undefined) {
    if (room() > 0) steps.push({ kind: 'reserve' })
    if (room() > 0) steps.push({ kind: 'count' })
    return steps
  }
  const wanted = Math.ceil(expected / limit)
  const reads = Math.min(room(), wanted)
  for (let read = 0; read < reads; read++) steps.push({ kind: 'reserve' })
  if (reads > 1 && reads === wanted && room() > 0) steps.push({ kind: 'count' })
  return steps
}

/** Seconds that a request should last at most; the portal cuts one off after 60. */
const GOAL_SECONDS = 15

/** How many calls the next request may have, after one of `calls` calls lasted so long. Between 3 and 50. */
export function callsNext(most: number, calls: number, seconds: number): number {
  if (seconds > GOAL_SECONDS) return Math.max(3, Math.floor((calls * GOAL_SECONDS) / seconds))
  return seconds < GOAL_SECONDS / 2 ? Math.min(50, most * 2) : most
}
