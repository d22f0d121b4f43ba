import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { type ListFacts, listFacts } from './catalogue.ts'
import { idBelow, isNumericId } from './rows.ts'

/**
 * Walk by id: every page asks for rows behind the last id seen, so nothing is counted, and rows that come and go
 * meanwhile shift nothing.
 *
 * https://apidocs.bitrix24.com/settings/performance/huge-data.html
 */
export interface KeysetPlan {
  readonly walk: 'keyset'
  readonly method: string
  /** The caller's parameters without `start`, with the id in `select`. */
  readonly base: JsonObject
  /** Rows behind this id; `null` begins at the first row. */
  readonly after: string | null
  /** The id's name in rows and in filters. */
  readonly id: string
  readonly requestId: string
  readonly facts: ListFacts
  /** The filter parameter as the caller spells it. */
  readonly filterName: string
  /** The order by id, as parameters. */
  readonly order: JsonObject
}

/** Walk by offset: pages `start=0, 50, 100…` in the caller's own order. */
export interface OffsetPlan {
  readonly walk: 'offset'
  readonly method: string
  readonly base: JsonObject
  readonly start: number
  readonly facts: ListFacts
  /** Why not by id, in a few words. */
  readonly reason: string
}

/** How a list will be walked. */
export type ListPlan = KeysetPlan | OffsetPlan

/** What may be said about the way a list is walked. */
export interface PlanOptions {
  /** `auto` walks by id where that is safe; `offset` never does. */
  readonly mode?: 'auto' | 'offset'
  /** Rows must come in the order that offset pages would give: no walk by id where the default order is unknown. */
  readonly sameOrder?: boolean
  /** Begin behind this id (walks by id only; a walk by offset does not know it). */
  readonly after?: string
  /** What the caller knows better than the catalogue. */
  readonly facts?: Partial<ListFacts>
}

/**
 * Chooses the walk. By id only when the catalogue allows it and the parameters leave it open: no `start`, no order
 * but by id ascending, and no filter `>ID` other than one number (the walk then begins there).
 */
export function planWalk(method: string, params: JsonObject, options: PlanOptions = {}): ListPlan {
  const facts = { ...listFacts(method), ...options.facts }
  const { start, rest } = splitStart(params)
  const offset = (reason: string): OffsetPlan => ({
    walk: 'offset',
    method,
    base: rest,
    start: Math.max(0, start),
    facts,
    reason,
  })
  const { id, requestId } = facts
  if (options.mode === 'offset') return offset('asked for')
  if (!facts.keyset || id === null || requestId === null) return offset('the method is not known to allow it')
  if (start > 0) return offset('the caller begins at an offset')

  const order = ownOrder(rest, facts, requestId)
  if (order === 'other') return offset('the caller has an order of its own')
  if (order === 'none' && options.sameOrder === true && !facts.defaultById)
    return offset('the order without an order is not known to be by id')

  const filter = oneKey(rest, facts.filter)
  if (filter === undefined) return offset('the filter is given twice')
  const conditions = rest[filter] ?? {}
  if (!isJsonObject(conditions) && !isEmptyArray(conditions)) return offset('the filter is no object')
  const after = ownAfter(isJsonObject(conditions) ? conditions : {}, requestId)
  if (after === 'conflict') return offset('the filter on the id is not one number')

  return {
    walk: 'keyset',
    method,
    base: withSelectedId(withoutOrder(rest, facts), requestId),
    after: later(after, options.after),
    id,
    requestId,
    facts,
    filterName: filter,
    order: orderById(rest, facts, requestId),
  }
}

/** The same list by offset, for a portal that turned out not to honour the walk by id. */
export function offsetInstead(plan: KeysetPlan, params: JsonObject, reason: string): OffsetPlan {
  const base = { ...splitStart(params).rest }
  return { walk: 'offset', method: plan.method, base, start: 0, facts: plan.facts, reason }
}

/**
 * Parameters of a page of a walk by id. `after` is an id, or a reference to the last row of an earlier page of the
 * same batch; `null` for the first page of all. A `counted` page gives `total`; others spare the portal that work
 * with `start=-1`.
 */
export function keysetParams(plan: KeysetPlan, after: string | null, counted: boolean): JsonObject {
  const own = plan.base[plan.filterName]
  const filter = after === null ? own : { ...(isJsonObject(own) ? own : {}), [`>${plan.requestId}`]: after }
  return {
    ...plan.base,
    ...(filter === undefined ? {} : { [plan.filterName]: filter }),
    ...plan.order,
    ...(counted ? {} : mergeObjects(plan.facts.uncounted ?? {}, plan.base)),
    ...(counted ? {} : { start: -1 }),
  }
}

/** The reading of `start` that all methods share: a number or its text; anything else is no start. */
function splitStart(params: JsonObject): { readonly start: number; readonly rest: JsonObject } {
  const rest: Record<string, Json> = {}
  let start = 0
  for (const [key, value] of Object.entries(params)) {
    if (key !== 'start') rest[key] = value
    else if (Number.isFinite(Number(value))) start = Math.trunc(Number(value))
  }
  return { start, rest }
}

/** The caller's spelling of a parameter (old methods ignore case), ours when absent, `undefined` when it stands twice. */
function oneKey(params: JsonObject, name: string): string | undefined {
  const keys = Object.keys(params).filter((key) => key.toLowerCase() === name.toLowerCase())
  return keys.length > 1 ? undefined : (keys[0] ?? name)
}

function ownOrder(params: JsonObject, { order }: ListFacts, requestId: string): 'none' | 'by-id' | 'other' {
  const value = (name: string): Json | undefined => {
    const key = oneKey(params, name)
    return key === undefined ? 'twice' : params[key]
  }
  const ascending = (direction: Json | undefined): boolean =>
    typeof direction === 'string' && direction.toLowerCase() === 'asc'
  if (order.kind === 'pair') {
    const field = value(order.field)
    const direction = value(order.direction)
    if (field === undefined && direction === undefined) return 'none'
    return field === requestId && (direction === undefined || ascending(direction)) ? 'by-id' : 'other'
  }
  const own = value(order.name)
  if (own === undefined || own === null || isEmptyArray(own)) return 'none'
  if (!isJsonObject(own)) return 'other'
  const fields = Object.entries(own)
  if (fields.length === 0) return 'none'
  return fields.length === 1 && fields[0]?.[0] === requestId && ascending(fields[0][1]) ? 'by-id' : 'other'
}

function orderById(params: JsonObject, { order }: ListFacts, requestId: string): JsonObject {
  if (order.kind === 'map') return { [oneKey(params, order.name) ?? order.name]: { [requestId]: 'ASC' } }
  return {
    [oneKey(params, order.field) ?? order.field]: requestId,
    [oneKey(params, order.direction) ?? order.direction]: 'ASC',
  }
}

function withoutOrder(params: JsonObject, { order }: ListFacts): JsonObject {
  const names = (order.kind === 'map' ? [order.name] : [order.field, order.direction]).map((name) =>
    name.toLowerCase(),
  )
  return Object.fromEntries(Object.entries(params).filter(([key]) => !names.includes(key.toLowerCase())))
}

/** The number behind an own filter `>ID`; `null` without one. */
function ownAfter(filter: JsonObject, requestId: string): string | null | 'conflict' {
  const name = `>${requestId}`
  const keys = Object.keys(filter).filter((key) => key.toLowerCase() === name.toLowerCase())
  if (keys.length === 0) return null
  const value = filter[name]
  if (keys.length > 1 || (typeof value !== 'string' && typeof value !== 'number')) return 'conflict'
  const after = String(value)
  return isNumericId(after) ? after : 'conflict'
}

function later(own: string | null, asked: string | undefined): string | null {
  if (!isNumericId(asked)) return own
  return own === null || idBelow(own, asked) ? asked : own
}

/** Adds the id to a `select` that leaves it out: without it nobody knows where the next page begins. */
function withSelectedId(params: JsonObject, requestId: string): JsonObject {
  const key = oneKey(params, 'select')
  const own = key === undefined ? undefined : params[key]
  if (key === undefined || own === undefined) return params
  const fields = Array.isArray(own) ? own : isJsonObject(own) ? Object.values(own) : []
  if (fields.length === 0 || fields.includes(requestId) || fields.includes('*')) return params
  return { ...params, [key]: [requestId, ...fields] }
}

/** `extra` with the members that the caller gives under the same names kept inside. */
function mergeObjects(extra: JsonObject, own: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(extra).map(([key, value]) => {
      const mine = own[key]
      return [key, isJsonObject(value) && isJsonObject(mine) ? { ...value, ...mine } : (mine ?? value)]
    }),
  )
}

function isEmptyArray(value: Json): boolean {
  return Array.isArray(value) && value.length === 0
}
