import { BridgeError } from '../../model/errors.ts'
import { BATCH_PAGES, chainCalls, nextGroup, PAGE_ROWS, readChain } from './chain.ts'
import { type KeysetPlan, keysetParams } from './plan.ts'
import { gapStep, type ListStep, type Road } from './road.ts'
import { rowId } from './rows.ts'

/** How a walk by id ended: with the list, with a gap, or because the portal did not honour it. */
export type KeysetEnd =
  | { readonly kind: 'done' }
  /** `seen` holds every id that was given out; walk by offset instead and leave these out. */
  | { readonly kind: 'disordered'; readonly seen: ReadonlySet<string> }

/** Pages after which a portal that has honoured the walk so far is trusted, and ids need not be remembered. */
const TRUST_AFTER_PAGES = 1 + 8 + BATCH_PAGES

/**
 * Walks a list by id. One group of pages is in flight while the rows of the group before are consumed, never more.
 *
 * | request | carries |
 * | --- | --- |
 * | first | one page, counted when asked for |
 * | second | a chain of 8 |
 * | others | chains of up to 50, so many as fit into `maxSeconds` |
 *
 * A page that fails ends its chain there; it is asked for once more alone, then the walk goes on with short chains,
 * or ends with a gap "everything behind id N".
 */
export async function* keysetSteps(
  road: Road,
  plan: KeysetPlan,
  counted: boolean,
): AsyncGenerator<ListStep, KeysetEnd> {
  let seen: Set<string> | undefined = new Set()
  let after = plan.after
  let wrapper = plan.facts.wrapper
  let group = 1
  let given = 0
  let ceiling = BATCH_PAGES
  let alone = false
  let pending = road.ask([{ method: plan.method, params: keysetParams(plan, after, counted) }])
  for (;;) {
    const reading = readChain(plan, await pending, after, wrapper)
    road.check()
    const requests = road.requests
    // Emptied as it is given out, so that rows which were consumed can be forgotten.
    const pages = reading.pages
    const first = given === 0
    const head = pages[0]
    if (first && head !== undefined && counted) road.total = head.total ?? null
    if (head !== undefined && head.rows.length > 0) wrapper = head.wrapper
    for (const page of pages) road.received += page.rows.length
    after = reading.after
    given += pages.length

    const lost = reading.verdict === 'failed' && pages.length === 0 && (alone || first)
    const over = reading.verdict === 'end' || reading.verdict === 'disordered' || lost || road.wanted <= 0
    if (!over && reading.verdict === 'failed') {
      alone = true
      ceiling = Math.max(1, Math.floor(Math.min(ceiling, group) / 2))
      group = 1
    } else if (!over) {
      alone = false
      const slowest = Math.max(...pages.map((page) => page.seconds))
      const bound = nextGroup({
        previous: group,
        secondsPerPage: slowest,
        maxSeconds: road.maxSeconds,
        expected: expectedPages(road),
      })
      group = Math.min(bound, ceiling)
      ceiling = Math.min(BATCH_PAGES, ceiling * 2)
    }
    if (!over) pending = road.ask(chainCalls(plan, after, group, wrapper ?? null), group > 1)

    for (let page = pages.shift(); page !== undefined; page = pages.shift()) {
      const rows = road.give(page.rows)
      if (rows.length === 0 && page.rows.length > 0) break
      const lastId = rows.length < page.rows.length ? (rowId(rows.at(-1)!, plan.id) ?? null) : page.last
      for (const row of seen === undefined ? [] : rows) seen?.add(rowId(row, plan.id) ?? '')
      yield {
        kind: 'page',
        page: {
          rows,
          from: place(plan, page.after),
          lastId,
          total: road.total,
          status: page.status,
          requests,
        },
      }
    }
    if (lost) {
      yield gapStep(place(plan, after), reading.failure, first)
      return { kind: 'done' }
    }
    if (reading.verdict === 'disordered') {
      if (seen !== undefined) return { kind: 'disordered', seen }
      const error = new BridgeError(
        'LIST_UNORDERED',
        `Behind id ${after} the portal no longer answered by id ascending.`,
      )
      yield gapStep(place(plan, after), { error }, false)
    }
    if (over) return { kind: 'done' }
    if (given >= TRUST_AFTER_PAGES) seen = undefined
  }
}

/** Pages that may still come, the short one at the end included: by what the portal counted, and by the limit. */
function expectedPages(road: Road): number {
  const byLimit = Math.ceil(road.wanted / PAGE_ROWS)
  if (road.total === null || road.total < road.received) return byLimit
  return Math.min(byLimit, Math.floor((road.total - road.received) / PAGE_ROWS) + 1)
}

function place(plan: KeysetPlan, after: string | null): string {
  return after === null ? 'first page' : `>${plan.requestId} ${after}`
}
