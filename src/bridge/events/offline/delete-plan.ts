import { PAGE } from './calls.ts'
import { compareIds, type OfflineRow } from './row.ts'

/** Rows that lie side by side, all confirmed, and were not seen again after the cut-off. */
export interface Span {
  readonly first: string
  readonly last: string
  /** Milliseconds since 1970. */
  readonly notAfter: number
  readonly rows: readonly OfflineRow[]
}

/**
 * A portal writes moments to the second, and its machines' clocks differ a little: what was seen within so many
 * milliseconds before a list was made may be seen again in the same second.
 */
const FRESH_MS = 3000

/** Without the portal's clock ours must do, with a margin for the difference between the two. */
const STRANGE_CLOCK_MS = 60_000

/** Until when rows of a list are settled: a repeat that comes later has a later second. */
export function cutOff(portalClock: number | undefined, ours: number): number {
  const at = portalClock === undefined ? ours - STRANGE_CLOCK_MS : portalClock - FRESH_MS
  return Math.floor(at / 1000) * 1000
}

/**
 * What may be removed of a list that is in the order of ids: spans of at most a page, from which rows that are not
 * confirmed are left out by ending one span before and beginning another after. Rows after the cut-off may stand in a
 * span, because the portal is told to leave those alone.
 */
export function spansOf(
  rows: readonly OfflineRow[],
  notAfter: number,
  confirmed: (row: OfflineRow) => boolean,
): Span[] {
  const spans: Span[] = []
  let open: OfflineRow[] = []
  const end = (): void => {
    const [first] = open
    if (first !== undefined)
      spans.push({ first: first.id, last: (open.at(-1) as OfflineRow).id, notAfter, rows: open })
    open = []
  }
  for (const row of [...rows].sort((a, b) => compareIds(a.id, b.id))) {
    if (row.seenAt > notAfter) continue
    if (confirmed(row)) open.push(row)
    if (!confirmed(row) || open.length === PAGE) end()
  }
  end()
  return spans
}

/** One call of a round, and what it is for. */
export type DeleteStep =
  | { readonly kind: 'remove'; readonly span: Span }
  | { readonly kind: 'list'; readonly start: number }

/**
 * The calls of the next request: what is confirmed is removed, then the next pages are listed, in as many calls as the
 * rest needs. The pages before `skip` hold only rows that cannot be removed now.
 */
export function planDelete(
  state: { readonly spans: readonly Span[]; readonly expected: number | undefined; readonly skip: number },
  most: number,
): DeleteStep[] {
  const steps: DeleteStep[] = state.spans.slice(0, most).map((span) => ({ kind: 'remove', span }))
  const wanted = state.expected === undefined ? 1 : Math.ceil(state.expected / PAGE)
  const pages = Math.min(most - steps.length, wanted)
  for (let page = 0; page < pages; page++) steps.push({ kind: 'list', start: state.skip + page * PAGE })
  return steps
}
