import type { JsonObject } from '../../model/json.ts'
import type { CallSettled, LaneCall } from '../lane/work.ts'
import { nextGroup, PAGE_ROWS } from './chain.ts'
import type { OffsetPlan } from './plan.ts'
import { gapStep, type ListStep, type Road } from './road.ts'
import { readPage, rowId } from './rows.ts'

/** Times that a list which shrank under the walk is read again from its start before the rest is given up. */
const SECOND_LOOKS = 2

/**
 * Walks a list by offset: the first page alone, then pages `start=50, 100…` in groups as long as `total` says where
 * the list ends, else one page after the other by `next`. Rows whose id was given out before are left out.
 *
 * A row that is deleted meanwhile moves all rows behind it, and one of them slips to a page already read. The
 * portal's `total` tells: when it falls, the list is read again and only new rows are given out. Lists without an id
 * or without `total` do not have this net.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/list-methods-pecularities.html
 */
export async function* offsetSteps(
  road: Road,
  plan: OffsetPlan,
  given: ReadonlySet<string> = new Set(),
): AsyncGenerator<ListStep, void> {
  const seen = new Set(given)
  for (let look = 0; ; look++) {
    const shrank = yield* onePass(road, plan, seen, look === 0 && given.size === 0)
    if (!shrank || plan.facts.id === null || road.wanted <= 0) return
    if (look < SECOND_LOOKS) continue
    const { gap, ...step } = gapStep(`start=${plan.start}`, undefined, false)
    const description = 'Rows were deleted all the time while the list was read; some may be missing.'
    yield { ...step, gap: { ...gap, code: 'LIST_CHANGED', description } }
    return
  }
}

/** One page of a group after its answer was read. */
interface ReadPage {
  readonly start: number
  readonly status: number
  readonly rows: readonly JsonObject[]
  /** How it ended, when it could not be read even alone. */
  readonly failure?: CallSettled
}

/** Reads the list once from its start; true when its total fell meanwhile. */
async function* onePass(
  road: Road,
  plan: OffsetPlan,
  seen: Set<string>,
  firstOfAll: boolean,
): AsyncGenerator<ListStep, boolean> {
  let starts = [plan.start]
  let step = PAGE_ROWS
  let total: number | undefined
  let shrank = false
  let pending = road.ask(starts.map((start) => pageCall(plan, start)))
  for (;;) {
    const settled = await pending
    road.check()
    const found: ReadPage[] = []
    let frontier = plan.start
    let slowest = 0
    let ended = false
    for (const [index, start] of starts.entries()) {
      const first = firstOfAll && start === plan.start
      const outcome = first ? settled[index] : await secondTry(road, plan, start, settled[index])
      const answer = outcome?.error === undefined ? outcome?.answer : undefined
      frontier = start + step
      if (answer === undefined) {
        found.push({ start, status: 0, rows: [], failure: outcome ?? {} })
        ended = first || total === undefined || frontier >= total
        if (ended) break
        continue
      }
      const page = readPage(answer, plan.facts.wrapper)
      const rows = unseen(page.rows, plan.facts.id, seen)
      found.push({ start, status: answer.status, rows })
      road.received += rows.length
      slowest = Math.max(slowest, page.seconds)
      if (first && page.total !== undefined && page.total >= 0) road.total = page.total
      if (page.total !== undefined) shrank ||= total !== undefined && page.total < total
      if (page.total !== undefined && page.total >= page.rows.length) total = page.total
      ended = page.rows.length === 0 || page.next === undefined || page.next <= start
      if (ended) break
      frontier = page.next ?? frontier
      if (starts.length === 1) step = frontier - start
    }
    ended ||= road.wanted <= 0 || (total !== undefined && frontier >= total)
    if (!ended) {
      const rowsLeft = total === undefined ? 1 : Math.min(total - frontier, road.wanted)
      const pages = nextGroup({
        previous: starts.length,
        secondsPerPage: slowest,
        maxSeconds: road.maxSeconds,
        expected: Math.max(1, Math.ceil(rowsLeft / step)),
      })
      starts = Array.from({ length: pages }, (_, index) => frontier + index * step)
      pending = road.ask(starts.map((start) => pageCall(plan, start)))
    }
    const { requests } = road
    for (const { start, status, rows, failure } of found) {
      const from = `start=${start}`
      if (failure !== undefined) yield gapStep(from, failure, firstOfAll && start === plan.start)
      else {
        const page = { rows: road.give(rows), from, lastId: null, total: road.total, status, requests }
        yield { kind: 'page', page }
      }
    }
    if (ended) return shrank
  }
}

/** The outcome of a page, or that of asking for it once more alone when it failed. */
async function secondTry(
  road: Road,
  plan: OffsetPlan,
  start: number,
  outcome: CallSettled | undefined,
): Promise<CallSettled | undefined> {
  if (outcome?.answer !== undefined && outcome.error === undefined) return outcome
  const again = await road.ask([pageCall(plan, start)])
  road.check()
  return again[0]
}

function pageCall(plan: OffsetPlan, start: number): LaneCall {
  return { method: plan.method, params: start === 0 ? plan.base : { ...plan.base, start } }
}

/** Rows that were not given out before; remembers their ids. Rows without an id always count as new. */
function unseen(rows: readonly JsonObject[], id: string | null, seen: Set<string>): readonly JsonObject[] {
  if (id === null) return rows
  return rows.filter((row) => {
    const key = rowId(row, id)
    if (key === undefined) return true
    const isNew = !seen.has(key)
    seen.add(key)
    return isNew
  })
}
