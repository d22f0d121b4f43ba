import type { CallAnswer, CallOptions } from '../../model/call.ts'
import { type BridgeError, CommandError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { ListGap, ListResult } from '../../model/outcome.ts'
import type { Caller } from '../lane/work.ts'
import { keysetSteps } from './keyset.ts'
import { offsetSteps } from './offset.ts'
import { offsetInstead, type PlanOptions, planWalk } from './plan.ts'
import { type ListPage, type ListStep, Road } from './road.ts'

export type { ListPage } from './road.ts'

/** How a list is walked and how its calls travel; everything optional. Calls are `bulk` unless said otherwise. */
export interface ListOptions extends CallOptions, PlanOptions {
  /** Let the portal count on the first page; without it a walk by id knows no `total`. Counting is slow on big lists. */
  readonly withTotal?: boolean
  /** Stop after so many rows. */
  readonly limit?: number
  /** Seconds that one request of many pages may take at the portal; 20 by default, the portal cuts at 60. */
  readonly maxSeconds?: number
}

/**
 * The pages of a list, in order, as they come. At most one group of up to 50 pages is asked for ahead of the rows
 * being read, so a slow reader slows the walk down and memory stays flat.
 *
 * An empty list gives one page without rows. A page that cannot be read even alone throws its error
 * (`RestError`, `TransportError`…) after the pages before it were given. Leaving the loop early withdraws what was
 * asked for ahead; an abort throws the signal's reason.
 */
export async function* walkList(
  caller: Caller,
  method: string,
  params: JsonObject = {},
  options: ListOptions = {},
): AsyncGenerator<ListPage, void> {
  for await (const step of walkSteps(caller, method, params, options)) {
    if (step.kind === 'gap') throw step.error
    yield step.page
  }
}

/** The rows of a list one by one; otherwise as `walkList`. */
export async function* rows(
  caller: Caller,
  method: string,
  params: JsonObject = {},
  options: ListOptions = {},
): AsyncGenerator<JsonObject, void> {
  for await (const page of walkList(caller, method, params, options)) yield* page.rows
}

/** How much a collected list may hold. */
export interface CollectOptions extends ListOptions {
  /** More rows end the walk with `LIST_TOO_LARGE`. */
  readonly maxRows?: number
  /** More characters of JSON end the walk with `LIST_TOO_LARGE`. */
  readonly maxBytes?: number
}

/** All rows of a list, or why there are none. */
export interface CollectedList extends ListResult {
  /** Requests that were used. */
  readonly requests: number
  /** The portal's answer to the first page, when it was a refusal. */
  readonly answer?: CallAnswer
  /** The first page failed, the list is too large, or the walk was aborted: `rows` is empty. */
  readonly error?: BridgeError
}

/**
 * Reads a whole list into memory. A page that cannot be read is in `missing`, the others are in `rows`, and `status`
 * is that of the failure. Never throws, except for the reason of an abort.
 */
export async function collectList(
  caller: Caller,
  method: string,
  params: JsonObject = {},
  options: CollectOptions = {},
): Promise<CollectedList> {
  const { maxRows = Number.POSITIVE_INFINITY, maxBytes = Number.POSITIVE_INFINITY, ...walk } = options
  const rows: JsonObject[] = []
  const missing: ListGap[] = []
  let total: number | null = null
  let requests = 1
  let status: number | undefined
  let size = 0
  for await (const step of walkSteps(caller, method, params, walk)) {
    if (step.kind === 'gap') {
      const { answer, error, first, gap } = step
      if (missing.length === 0) status = statusOf(error, answer)
      if (first)
        return { ...empty(statusOf(error, answer), total, requests, error), ...(answer && { answer }) }
      missing.push(gap)
      continue
    }
    const { page } = step
    requests = page.requests
    total = page.total
    status ??= page.status
    rows.push(...page.rows)
    if (Number.isFinite(maxBytes)) for (const row of page.rows) size += JSON.stringify(row).length + 1
    const atLeast = Math.max(rows.length, Math.min(total ?? 0, walk.limit ?? Number.POSITIVE_INFINITY))
    if (atLeast > maxRows) return empty(413, total, requests, tooLarge(method, `${maxRows} rows`))
    if (size > maxBytes) return empty(413, total, requests, tooLarge(method, `${maxBytes} bytes`))
  }
  return { action: 'list', rows, total, status: status ?? 200, missing, requests }
}

function empty(status: number, total: number | null, requests: number, error: BridgeError): CollectedList {
  return { action: 'list', rows: [], total, status, missing: [], requests, error }
}

/** The walk itself, with gaps as steps instead of errors. */
async function* walkSteps(
  caller: Caller,
  method: string,
  params: JsonObject,
  options: ListOptions,
): AsyncGenerator<ListStep, void> {
  const { withTotal = false, mode, sameOrder, after, facts, ...travel } = options
  const plan = planWalk(method, params, {
    ...(mode && { mode }),
    ...(sameOrder !== undefined && { sameOrder }),
    ...(after !== undefined && { after }),
    ...(facts && { facts }),
  })
  const road = new Road(caller, travel)
  try {
    travel.signal?.throwIfAborted()
    if (plan.walk === 'offset') return yield* offsetSteps(road, plan)
    const end = yield* keysetSteps(road, plan, withTotal)
    if (end.kind !== 'disordered') return
    road.received = end.seen.size
    yield* offsetSteps(road, offsetInstead(plan, params, 'the portal did not honour it'), end.seen)
  } finally {
    road.close()
  }
}

function statusOf(error: BridgeError, answer: CallAnswer | undefined): number {
  if (answer !== undefined) return answer.status
  const status = 'status' in error && typeof error.status === 'number' ? error.status : 0
  return status >= 400 ? status : 504
}

function tooLarge(method: string, bound: string): CommandError {
  return new CommandError('LIST_TOO_LARGE', `${method} gives more than ${bound}.`, {
    status: 413,
    hint: 'Narrow the list with a filter, select fewer fields, or export it with `b24-bridge list --out`.',
  })
}
