import type { CallSettled, LaneCall } from '../lane/work.ts'
import { type KeysetPlan, keysetParams } from './plan.ts'
import { type AnsweredPage, idBelow, isNumericId, readPage, rowId } from './rows.ts'

/**
 * Rows on a page; there is no parameter to change it.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/list-methods-pecularities.html
 */
export const PAGE_ROWS = 50

/** Calls that one `batch` may carry. https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html */
export const BATCH_PAGES = 50

/**
 * The calls of a chain of pages: the first asks for what is behind `after`, each other one for what is behind the
 * last row of the page before it, which the portal fills in itself (`$result[p0][49][ID]`). A chain of one is a
 * plain call.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function chainCalls(
  plan: KeysetPlan,
  after: string | null,
  pages: number,
  wrapper: string | null,
): LaneCall[] {
  const path = wrapper === null ? '' : `[${wrapper}]`
  const calls: LaneCall[] = []
  for (let index = 0; index < pages; index++) {
    const behind = index === 0 ? after : `$result[p${index - 1}]${path}[${PAGE_ROWS - 1}][${plan.id}]`
    const call = { method: plan.method, params: keysetParams(plan, behind, false) }
    calls.push(pages === 1 ? call : { ...call, name: `p${index}` })
  }
  return calls
}

/**
 * What a page says about the walk. `full`: there may be more; `end`: a short page is the last one; `disordered`: the
 * portal did not honour the walk (an id is missing, not a number, or not above the one before; more than 50 rows).
 */
export type PageVerdict = 'full' | 'end' | 'disordered'

/** Judges one page that was asked for with `>ID after`. */
export function judgePage(
  page: AnsweredPage,
  id: string,
  after: string | null,
): { readonly verdict: PageVerdict; readonly last: string | null } {
  let last = after
  for (const row of page.rows) {
    const current = rowId(row, id)
    if (!isNumericId(current) || (last !== null && !idBelow(last, current)))
      return { verdict: 'disordered', last: after }
    last = current
  }
  if (page.rows.length > PAGE_ROWS) return { verdict: 'disordered', last: after }
  return { verdict: page.rows.length === PAGE_ROWS ? 'full' : 'end', last }
}

/** A page of a chain with the id of its last row. */
export interface ChainPage extends AnsweredPage {
  /** The id that the page was asked to begin behind. */
  readonly after: string | null
  readonly last: string | null
  readonly status: number
}

/** What a chain gave: its good pages up to the first that was short, failed or disordered. */
export interface ChainReading {
  readonly pages: ChainPage[]
  readonly verdict: PageVerdict | 'failed'
  /** The last good id: where the walk goes on. */
  readonly after: string | null
  /** How the failed page ended; absent unless the verdict is `failed`. */
  readonly failure?: CallSettled
}

/**
 * Reads the answers of a chain. Everything behind the first short page is ignored: there the reference pointed to a
 * row that is not, the portal put the whole page in its place, and the answer means nothing.
 */
export function readChain(
  plan: KeysetPlan,
  settled: readonly CallSettled[],
  begin: string | null,
  wrapper: string | null | undefined,
): ChainReading {
  const pages: ChainPage[] = []
  let after = begin
  for (const outcome of settled) {
    if (outcome.answer === undefined || outcome.error !== undefined)
      return { pages, verdict: 'failed', after, failure: outcome }
    const page = readPage(outcome.answer, wrapper)
    const { verdict, last } = judgePage(page, plan.id, after)
    if (verdict === 'disordered') return { pages, verdict, after }
    pages.push({ ...page, after, last, status: outcome.answer.status })
    after = last
    if (verdict === 'end') return { pages, verdict, after }
  }
  return { pages, verdict: 'full', after }
}

/** What bounds the next group of pages. */
export interface PaceBounds {
  /** Pages of the group before. */
  readonly previous: number
  /** Seconds that the slowest page of that group took at the portal. */
  readonly secondsPerPage: number
  /** Seconds that one request may take; the portal cuts it at 60. */
  readonly maxSeconds: number
  /** Pages that may still be there, when known. */
  readonly expected?: number
}

/**
 * How many pages the next request carries: 1, 8, 50 while the portal is quick, fewer when it is slow or when the list
 * is known to end. At least one, at most fifty.
 */
export function nextGroup({ previous, secondsPerPage, maxSeconds, expected }: PaceBounds): number {
  const bySeconds = secondsPerPage > 0 ? Math.floor(maxSeconds / secondsPerPage) : BATCH_PAGES
  return Math.max(1, Math.min(previous * 8, bySeconds, BATCH_PAGES, expected ?? BATCH_PAGES))
}
