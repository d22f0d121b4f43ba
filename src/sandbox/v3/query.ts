import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { compareValues, type FieldType } from '../filter.ts'
import { invalid, V3Fault } from './errors.ts'

/** Objects of one kind as REST v3 shows them. */
export interface Shape {
  /** `TaskDto`, as it stands in messages. */
  readonly name: string
  readonly fields: Readonly<Record<string, FieldType>>
  /** Fields of related objects, by the name of the relation. */
  readonly relations?: Readonly<Record<string, readonly string[]>>
  /** Fields that are only there when they are asked for. */
  readonly hidden?: ReadonlySet<string>
}

/** A test made of a `filter`. https://apidocs.bitrix24.com/api-reference/rest-v3.html#filter */
export function filterOf(shape: Shape, filter: Json | undefined): (item: JsonObject) => boolean {
  if (filter === undefined) return () => true
  if (!Array.isArray(filter)) throw unreadable('FILTER', 'filter', filter)
  const tests = filter.map((part: Json) => testOf(shape, part))
  return (item) => tests.every((test) => test(item))
}

function testOf(shape: Shape, part: Json): (item: JsonObject) => boolean {
  if (isJsonObject(part)) {
    const { logic, conditions } = part
    if (!Array.isArray(conditions)) throw unreadable('FILTER', 'filter', part)
    const tests = conditions.map((condition: Json) => testOf(shape, condition))
    return logic === 'or'
      ? (item) => tests.some((test) => test(item))
      : (item) => tests.every((test) => test(item))
  }
  if (!Array.isArray(part) || part.length < 2 || part.length > 3) throw unreadable('FILTER', 'filter', part)
  const [name, second, third] = part as Json[]
  const field = String(name)
  const type = shape.fields[field]
  if (type === undefined) throw unknownField(shape.name, field)
  const value = (part.length === 2 ? second : third) ?? null
  const operator = part.length === 3 ? String(second) : Array.isArray(value) ? 'in' : '='
  const compare = (item: JsonObject, other: Json): number => compareValues(item[field] ?? null, other, type)
  const list = Array.isArray(value) ? value : []
  const fits = type === 'integer' ? (each: Json) => typeof each === 'number' : () => true
  if (!(Array.isArray(value) ? value : [value]).every(fits))
    throw invalid([{ field, message: `Field \`${field}\` requires data type \`int\` for this request` }])
  switch (operator) {
    case '=':
      return (item) => compare(item, value) === 0
    case '!=':
      return (item) => compare(item, value) !== 0
    case '>':
      return (item) => compare(item, value) > 0
    case '>=':
      return (item) => compare(item, value) >= 0
    case '<':
      return (item) => compare(item, value) < 0
    case '<=':
      return (item) => compare(item, value) <= 0
    case 'in':
      return (item) => list.some((each: Json) => compare(item, each) === 0)
    case 'between':
      return (item) => compare(item, list[0] ?? null) >= 0 && compare(item, list[1] ?? null) <= 0
    default:
      throw new V3Fault('UNKNOWNFILTEROPERATOREXCEPTION', `Unknown filter operator \`${operator}\``)
  }
}

/** How `order` sorts; by id when it says nothing. */
export function orderOf(shape: Shape, order: Json | undefined): (a: JsonObject, b: JsonObject) => number {
  if (order !== undefined && !isJsonObject(order)) throw unreadable('ORDER', 'order', order)
  const steps = Object.entries({ ...order, ...(order?.id === undefined ? { id: 'ASC' } : {}) })
  for (const [field, direction] of steps) {
    if (shape.fields[field] === undefined) throw unknownField(shape.name, field)
    if (!/^(?:asc|desc)$/i.test(String(direction))) throw unreadable('ORDER', 'order', direction ?? null)
  }
  return (a, b) => {
    for (const [field, direction] of steps) {
      const compared = compareValues(a[field] ?? null, b[field] ?? null, shape.fields[field] ?? 'string')
      if (compared !== 0) return /^desc$/i.test(String(direction)) ? -compared : compared
    }
    return 0
  }
}

/** What `select` leaves of an item; unknown fields are left out, those of related objects are refused. */
export function selectOf(
  shape: Shape,
  select: Json | undefined,
  relatedTo: (item: JsonObject, relation: string) => JsonObject = () => ({}),
): (item: JsonObject) => JsonObject {
  const { fields, relations = {}, hidden } = shape
  if (select === undefined) {
    const shown = Object.keys(fields).filter((field) => hidden?.has(field) !== true)
    return (item) => pick(item, shown)
  }
  if (!Array.isArray(select) || !select.every((name) => typeof name === 'string'))
    throw unreadable('SELECT', 'select', select)
  const own = ['id', ...(select as string[]).filter((name) => fields[name] !== undefined && name !== 'id')]
  const related = (select as string[]).filter((name) => name.includes('.')).map((name) => name.split('.'))
  for (const [relation = '', field = ''] of related) {
    if (relations[relation]?.includes(field) !== true) throw unknownField(shape.name, `${relation}.${field}`)
  }
  return (item) => {
    const made: Record<string, Json> = pick(item, own)
    for (const relation of new Set(related.map(([name = '']) => name))) {
      const wanted = related.filter(([name]) => name === relation).map(([, field = '']) => field)
      made[relation] = pick(relatedTo(item, relation), wanted)
    }
    return made
  }
}

const MOST_ROWS = 1000

/** The part of the list that `pagination` asks for: `limit`, and `offset` or `page`. */
export function pageOf(pagination: Json | undefined, most = MOST_ROWS): readonly [from: number, to: number] {
  if (pagination !== undefined && !isJsonObject(pagination))
    throw unreadable('PAGINATION', 'pagination', pagination)
  const number = (name: string, least: number, usual: number): number => {
    const value = pagination?.[name] ?? usual
    if (typeof value !== 'number' || !Number.isInteger(value) || value < least)
      throw unreadable('PAGINATION', `pagination.${name}`, value)
    return value
  }
  const limit = Math.min(number('limit', 1, 50), most)
  const page = number('page', 1, 1)
  const from = number('offset', 0, (page - 1) * limit)
  return [from, from + limit]
}

/** A part of a request that is not made as it should be. */
export function unreadable(
  part: 'FILTER' | 'SELECT' | 'ORDER' | 'PAGINATION',
  where: string,
  value: Json,
): V3Fault {
  return new V3Fault(
    `INVALID${part}EXCEPTION`,
    `Unable to recognize ${where} expression \`${JSON.stringify(value)}\``,
  )
}

function unknownField(entity: string, field: string): V3Fault {
  return new V3Fault('UNKNOWNDTOPROPERTYEXCEPTION', `Unknown field \`${field}\` for entity \`${entity}\``)
}

function pick(item: JsonObject, names: readonly string[]): Record<string, Json> {
  return Object.fromEntries(names.map((name) => [name, item[name] ?? null]))
}
