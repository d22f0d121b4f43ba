import type { Json } from '../model/json.ts'
import { type Condition, compareValues, type FieldType, idOf, meets } from './filter.ts'
import type { Row, Table } from './table.ts'

/** Rows of a page; no method of the second REST version lets the caller choose. */
export const PAGE_SIZE = 50

export interface Sorting {
  readonly field: string
  readonly type: FieldType
  readonly descending: boolean
}

/** What to read from a table. */
export interface ListQuery {
  readonly conditions: readonly Condition[]
  /** A test that conditions cannot say, for example OR. */
  readonly test?: ((row: Row) => boolean) | undefined
  readonly order: readonly Sorting[]
  /** Rows to leave out, rounded down to a page; negative reads the first page and counts nothing. */
  readonly start: number
}

/** A page. `total` is missing when nothing was counted, `next` when there is nothing behind. */
export interface Page {
  readonly rows: Row[]
  readonly total?: number
  readonly next?: number
}

/**
 * Reads one page. Ordered by id and filtered by id only, it costs a page whatever the size of the table; else it is
 * a scan. Behind the end the page is empty.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/list-methods-pecularities.html
 */
export function listRows(table: Table, query: ListQuery): Page {
  const range = narrow(query.conditions)
  const first = query.order[0]
  const byId = first === undefined || first.field === 'ID'
  const descending = byId && first?.descending === true
  const counted = query.start >= 0
  const start = counted ? Math.floor(query.start / PAGE_SIZE) * PAGE_SIZE : 0
  const plain = range.rest.length === 0 && query.test === undefined && range.ids === undefined

  if (byId && plain) {
    const rows: Row[] = []
    for (const id of table.ids(range.low, range.high, descending, start)) {
      if (rows.push(table.get(id)!) === PAGE_SIZE) break
    }
    return counted ? withTotal(rows, start, table.countBetween(range.low, range.high)) : { rows }
  }

  const found: Row[] = []
  for (const id of candidates(table, range, descending)) {
    const row = table.get(id)
    if (row === undefined || !range.rest.every((condition) => meets(row, condition))) continue
    if (query.test !== undefined && !query.test(row)) continue
    found.push(row)
    if (byId && !counted && found.length === PAGE_SIZE) break
  }
  if (!byId) found.sort((a, b) => compareRows(a, b, query.order))
  const rows = found.slice(start, start + PAGE_SIZE)
  return counted ? withTotal(rows, start, found.length) : { rows }
}

/** The number in a `start` parameter; 0 when there is none. */
export function parseStart(value: Json | undefined): number {
  const start = typeof value === 'number' ? value : Number.parseInt(String(value ?? 0), 10)
  return Number.isFinite(start) ? start : 0
}

function withTotal(rows: Row[], start: number, total: number): Page {
  const behind = start + PAGE_SIZE
  return behind < total ? { rows, total, next: behind } : { rows, total }
}

interface IdRange {
  low: number
  high: number
  ids: number[] | undefined
  readonly rest: Condition[]
}

function narrow(conditions: readonly Condition[]): IdRange {
  const range: IdRange = { low: 1, high: Number.MAX_SAFE_INTEGER, ids: undefined, rest: [] }
  for (const condition of conditions) {
    const { operator, value } = condition
    const scalar = typeof value !== 'object'
    if (condition.field !== 'ID') range.rest.push(condition)
    else if (operator === '>') range.low = Math.max(range.low, idOf(value) + 1)
    else if (operator === '>=') range.low = Math.max(range.low, idOf(value))
    else if (operator === '<') range.high = Math.min(range.high, idOf(value) - 1)
    else if (operator === '<=') range.high = Math.min(range.high, idOf(value))
    else if ((operator === '=' || operator === '@') && !scalar && value !== null && range.ids === undefined) {
      range.ids = Object.values(value).map((item: Json) => idOf(item))
    } else if ((operator === '=' || operator === '@') && scalar) {
      range.low = Math.max(range.low, idOf(value))
      range.high = Math.min(range.high, idOf(value))
    } else range.rest.push(condition)
  }
  return range
}

function candidates(table: Table, range: IdRange, descending: boolean): Iterable<number> {
  const few = range.ids ?? keyedIds(table, range.rest)
  if (few === undefined) return table.ids(range.low, range.high, descending)
  const kept = [...new Set(few)].filter((id) => id >= range.low && id <= range.high)
  return kept.sort((a, b) => (descending ? b - a : a - b))
}

/** Rows that have the value which some condition asks for, where the table can name them. */
function keyedIds(table: Table, conditions: readonly Condition[]): number[] | undefined {
  for (const { operator, field, value } of conditions) {
    if (operator !== '=' && operator !== '@') continue
    if (value === null || value === '' || value === false || typeof value === 'object') continue
    const ids = table.idsWithValue(field, String(value))
    if (ids !== undefined) return ids
  }
  return undefined
}

function compareRows(a: Row, b: Row, order: readonly Sorting[]): number {
  for (const { field, type, descending } of order) {
    const compared = compareValues(a[field] ?? null, b[field] ?? null, type)
    if (compared !== 0) return descending ? -compared : compared
  }
  return idOf(a.ID ?? 0) - idOf(b.ID ?? 0)
}
