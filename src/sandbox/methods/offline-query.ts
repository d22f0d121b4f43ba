import type { Json } from '../../model/json.ts'
import type { OfflineRow } from '../apps/offline-row.ts'
import { argumentFault } from '../errors.ts'

/** Fields by which rows of an offline queue are found and ordered; `list` knows two more than `get`. */
const VALUES: Readonly<Record<string, (row: OfflineRow) => number | string>> = {
  ID: (row) => row.id,
  TIMESTAMP_X: (row) => Math.floor(row.timestampMs / 1000),
  EVENT_NAME: (row) => row.event,
  MESSAGE_ID: (row) => row.messageId,
  PROCESS_ID: (row) => row.processId,
  ERROR: (row) => (row.failed ? 1 : 0),
}

/** What `event.offline.get` knows. */
export const GET_FIELDS = ['ID', 'TIMESTAMP_X', 'EVENT_NAME', 'MESSAGE_ID']
/** What `event.offline.list` knows. */
export const LIST_FIELDS = Object.keys(VALUES)

const OPERATORS = ['', '=', '>', '<', '>=', '<=', '@', '%']

/**
 * The test that a `filter` stands for. Throws for an unknown field or operator, and for lists where they may not be.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
 */
export function filterTest(
  filter: Json | undefined,
  fields: readonly string[],
  lists: 'refused' | 'allowed',
): (row: OfflineRow) => boolean {
  if (filter === undefined || filter === null) return () => true
  if (typeof filter !== 'object') throw argumentFault('FILTER', 'The filter is not an array.')
  const tests = Object.entries(filter).map(([key, wanted]: [string, Json]) => {
    const [, operator = '', name = ''] = /^([^a-z_]*)(.*)$/is.exec(key) ?? []
    const field = name.toUpperCase()
    if (!OPERATORS.includes(operator))
      throw argumentFault('FILTER', `Filter operation not allowed: ${operator}`)
    if (!fields.includes(field)) throw argumentFault('FILTER', `Filter field not allowed: ${name}`)
    if (typeof wanted === 'object' && wanted !== null && lists === 'refused')
      throw argumentFault('FILTER', 'Filter value must be a scalar.')
    return conditionTest(field, operator, wanted)
  })
  return (row) => tests.every((test) => test(row))
}

/**
 * The comparison that an `order` stands for, or `undefined` without one. Throws for an unknown field or direction.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
 */
export function orderOf(
  order: Json | undefined,
  fields: readonly string[],
): ((a: OfflineRow, b: OfflineRow) => number) | undefined {
  if (order === undefined || order === null) return undefined
  if (typeof order !== 'object') throw argumentFault('ORDER', 'The order is not an array.')
  const parts = Object.entries(order).map(([name, direction]: [string, Json]) => {
    const field = name.toUpperCase()
    const way = String(direction).toUpperCase()
    if (!fields.includes(field)) throw argumentFault('ORDER', `Order field not allowed: ${name}`)
    if (way !== 'ASC' && way !== 'DESC')
      throw argumentFault('ORDER', 'Order direction should be one of {ASC|DESC}')
    return { read: VALUES[field]!, sign: way === 'ASC' ? 1 : -1 }
  })
  if (parts.length === 0) return undefined
  return (a, b) => {
    for (const { read, sign } of parts) {
      const compared = compare(read(a), read(b))
      if (compared !== 0) return compared * sign
    }
    return a.id - b.id
  }
}

function conditionTest(field: string, operator: string, wanted: Json): (row: OfflineRow) => boolean {
  const read = VALUES[field]!
  if (typeof wanted === 'object' && wanted !== null) {
    const any = Object.values(wanted).map((value: Json) => conditionTest(field, '=', value))
    return (row) => any.some((test) => test(row))
  }
  if (operator === '%') {
    const part = String(wanted ?? '').toLowerCase()
    return (row) => String(read(row)).toLowerCase().includes(part)
  }
  const value = comparable(field, wanted)
  switch (operator) {
    case '>':
      return (row) => compare(read(row), value) > 0
    case '<':
      return (row) => compare(read(row), value) < 0
    case '>=':
      return (row) => compare(read(row), value) >= 0
    case '<=':
      return (row) => compare(read(row), value) <= 0
    default:
      return (row) => compare(read(row), value) === 0
  }
}

function comparable(field: string, wanted: Json): number | string {
  if (field === 'TIMESTAMP_X') return Math.floor((Date.parse(String(wanted)) || 0) / 1000)
  if (field === 'ID' || field === 'ERROR') return Number(wanted) || 0
  return String(wanted ?? '')
}

function compare(a: number | string, b: number | string): number {
  return a === b ? 0 : a < b ? -1 : 1
}
