import type { Json } from '../model/json.ts'
import type { Row } from './table.ts'

/** How the values of a field compare and what they look like. */
export type FieldType = 'integer' | 'double' | 'string' | 'char' | 'datetime' | 'multifield'

/** One condition of a filter, its key taken apart. */
export interface Condition {
  readonly operator: Operator
  readonly field: string
  readonly type: FieldType
  readonly value: Json
}

const OPERATORS = [
  '!=%',
  '!%=',
  '=%',
  '%=',
  '!%',
  '!@',
  '!=',
  '>=',
  '<=',
  '=',
  '>',
  '<',
  '@',
  '%',
  '!',
] as const

export type Operator = (typeof OPERATORS)[number]

/**
 * Takes `>=OPPORTUNITY` apart. No prefix is `=`.
 *
 * https://apidocs.bitrix24.com/api-reference/user/user-get.html
 */
export function parseFilterKey(key: string): { operator: Operator; field: string } {
  for (const operator of OPERATORS) {
    if (key.startsWith(operator)) return { operator, field: key.slice(operator.length) }
  }
  return { operator: '=', field: key }
}

/** True when the row meets the condition. Lists as values of `=` and `!` mean IN and NOT IN. */
export function meets(row: Row, condition: Condition): boolean {
  const { operator, value, type } = condition
  const actual = row[condition.field] ?? null
  switch (operator) {
    case '=':
    case '@':
      return oneOf(actual, value, type)
    case '!':
    case '!=':
    case '!@':
      return !oneOf(actual, value, type)
    case '>':
      return !isEmpty(actual) && compareValues(actual, value, type) > 0
    case '>=':
      return !isEmpty(actual) && compareValues(actual, value, type) >= 0
    case '<':
      return !isEmpty(actual) && compareValues(actual, value, type) < 0
    case '<=':
      return !isEmpty(actual) && compareValues(actual, value, type) <= 0
    case '%':
      return contains(actual, value)
    case '!%':
      return !contains(actual, value)
    case '=%':
    case '%=':
      return like(actual, value)
    case '!=%':
    case '!%=':
      return !like(actual, value)
  }
}

/** Orders two values of a field: numbers by size, dates by instant, the rest by their letters. */
export function compareValues(a: Json, b: Json, type: FieldType): number {
  const left = rank(a, type)
  const right = rank(b, type)
  if (left === right) return 0
  return left < right ? -1 : 1
}

/** The id that a filter value means. PHP turns a list into 1 (or 0 when empty), and so do we. */
export function idOf(value: Json): number {
  if (typeof value === 'number') return Math.trunc(value)
  if (typeof value === 'string') return Number.parseInt(value, 10) || 0
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0 ? 1 : 0
  return value === true ? 1 : 0
}

function rank(value: Json, type: FieldType): number | string {
  if (type === 'integer' || type === 'double') return typeof value === 'object' ? idOf(value) : Number(value)
  if (type === 'datetime') return Date.parse(String(value)) || 0
  return String(value ?? '')
}

function oneOf(actual: Json, wanted: Json, type: FieldType): boolean {
  if (typeof wanted === 'object' && wanted !== null) {
    return Object.values(wanted).some((item: Json) => oneOf(actual, item, type))
  }
  if (typeof actual === 'object' && actual !== null) {
    return Object.values(actual).some((item: Json) => oneOf(partOf(item), wanted, type))
  }
  if (isEmpty(wanted)) return isEmpty(actual)
  return !isEmpty(actual) && compareValues(actual, wanted, type) === 0
}

/** Phones and mails are objects; their `VALUE` is what a filter means. */
function partOf(item: Json): Json {
  return typeof item === 'object' && item !== null && 'VALUE' in item ? (item.VALUE ?? null) : item
}

function isEmpty(value: Json): boolean {
  return value === null || value === '' || value === false
}

function contains(actual: Json, part: Json): boolean {
  return String(actual ?? '')
    .toLowerCase()
    .includes(String(part ?? '').toLowerCase())
}

function like(actual: Json, pattern: Json): boolean {
  const escaped = String(pattern ?? '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  return new RegExp(`^${escaped.replaceAll('%', '.*').replaceAll('_', '.')}$`, 'is').test(
    String(actual ?? ''),
  )
}
