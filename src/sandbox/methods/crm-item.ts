import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { type Entity, entityByType, itemField } from '../entities.ts'
import { RestFault } from '../errors.ts'
import { type Condition, idOf, meets, parseFilterKey } from '../filter.ts'
import { crmChange, note } from '../happenings.ts'
import { listRows, parseStart, type Sorting } from '../listing.ts'
import type { Answer, Call, MethodTable } from '../method.ts'
import type { Row, Table } from '../table.ts'
import { isoTime } from '../time.ts'
import { itemRow, newRow, storedFields } from './crm-rows.ts'
import { pageAnswer } from './paging.ts'

/**
 * The universal methods: the same leads, deals, contacts and companies under camelCase names. Parameter names are
 * exact; filters and orders with unknown fields are refused.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/universal/index.html
 */
export const ITEM_METHODS: MethodTable = {
  'crm.item.add': { scopes: ['crm'], run: add },
  'crm.item.get': { scopes: ['crm'], run: get },
  'crm.item.list': { scopes: ['crm'], run: list },
  'crm.item.update': { scopes: ['crm'], run: update },
  'crm.item.delete': { scopes: ['crm'], run: remove },
}

function get(call: Call): Answer {
  const { entity, table } = kindOf(call)
  return { result: { item: itemRow(entity, existing(table, idParam(call))) } }
}

function add(call: Call): Answer {
  const { entity, table } = kindOf(call)
  const stored = storedFields(fieldsParam(call), (name) => itemField(entity, name), undefined)
  const id = table.insert(newRow(entity, stored, call.credential.userId, isoTime(call.exchange.startMs)))
  const row = existing(table, id)
  call.portal.wrote('crm.item.add', id, row)
  note(call, crmChange(entity.name, 'ADD', id))
  return { result: { item: itemRow(entity, row) } }
}

function update(call: Call): Answer {
  const { entity, table } = kindOf(call)
  const id = idParam(call)
  const stored = storedFields(fieldsParam(call), (name) => itemField(entity, name), existing(table, id))
  table.update(id, { ...stored, DATE_MODIFY: isoTime(call.exchange.startMs) })
  const row = existing(table, id)
  call.portal.wrote('crm.item.update', id, row)
  note(call, crmChange(entity.name, 'UPDATE', id))
  return { result: { item: itemRow(entity, row) } }
}

function remove(call: Call): Answer {
  const { entity, table } = kindOf(call)
  const id = idParam(call)
  const row = existing(table, id)
  table.remove(id)
  call.portal.wrote('crm.item.delete', id, row)
  note(call, crmChange(entity.name, 'DELETE', id))
  return { result: [] }
}

/** https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-list.html */
function list(call: Call): Answer {
  const { entity, table } = kindOf(call)
  const { params } = call
  const filter = splitFilter(entity, mapParam(params.filter))
  const wanted = Object.values(mapParam(params.select)).map(String)
  const select = wanted.length === 0 || wanted.includes('*') ? undefined : new Set(wanted)
  const page = listRows(table, {
    conditions: filter.conditions,
    test: filter.test,
    order: orderOf(entity, mapParam(params.order)),
    start: parseStart(params.start),
  })
  const items: Row[] = page.rows.map((row) => itemRow(entity, row, select))
  return pageAnswer(call, page, { items }, 'zero')
}

interface Filter {
  readonly conditions: Condition[]
  readonly test: ((row: Row) => boolean) | undefined
}

/** Groups under numeric keys (`{0: {logic: 'OR', …}}`) become a test, the rest conditions. */
function splitFilter(entity: Entity, filter: JsonObject): Filter {
  const conditions: Condition[] = []
  const groups: ((row: Row) => boolean)[] = []
  for (const [key, value] of Object.entries(filter)) {
    if (/^\d+$/.test(key)) groups.push(groupTest(entity, mapParam(value)))
    else if (key !== 'logic') conditions.push(conditionOf(entity, key, value))
  }
  return { conditions, test: groups.length === 0 ? undefined : (row) => groups.every((group) => group(row)) }
}

function groupTest(entity: Entity, group: JsonObject): (row: Row) => boolean {
  const any = String(group.logic ?? 'AND').toUpperCase() === 'OR'
  const tests = Object.entries(group).flatMap(([key, value]): ((row: Row) => boolean)[] => {
    if (key === 'logic') return []
    if (/^\d+$/.test(key)) return [groupTest(entity, mapParam(value))]
    const condition = conditionOf(entity, key, value)
    return [(row) => meets(row, condition)]
  })
  return (row) => (any ? tests.some((test) => test(row)) : tests.every((test) => test(row)))
}

function conditionOf(entity: Entity, key: string, value: Json): Condition {
  const { operator, field: name } = parseFilterKey(key)
  const field = itemField(entity, name)
  if (field === undefined) {
    throw new RestFault('INVALID_ARG_VALUE', `Invalid filter: field '${name}' is not allowed in filter`)
  }
  return { operator, field: field.name, type: field.type, value }
}

function orderOf(entity: Entity, order: JsonObject): Sorting[] {
  return Object.entries(order).map(([name, direction]): Sorting => {
    const field = itemField(entity, name)
    if (field === undefined) {
      throw new RestFault('INVALID_ARG_VALUE', `Invalid order: field '${name}' is not allowed in order`)
    }
    return { field: field.name, type: field.type, descending: String(direction).toUpperCase() === 'DESC' }
  })
}

function kindOf(call: Call): { entity: Entity; table: Table } {
  const typeId = call.params.entityTypeId
  if (typeId === undefined) throw missing('entityTypeId')
  const entity = entityByType(idOf(typeId))
  if (entity === undefined) throw new RestFault('NOT_FOUND', 'Smart process not found')
  return { entity, table: call.portal.data[entity.name] }
}

function existing(table: Table, id: number): Row {
  const row = table.get(id)
  if (row === undefined) throw new RestFault('NOT_FOUND', 'Item not found')
  return row
}

function idParam(call: Call): number {
  if (call.params.id === undefined) throw missing('id')
  return idOf(call.params.id)
}

function fieldsParam(call: Call): JsonObject {
  const { fields } = call.params
  if (fields === undefined) throw missing('fields')
  return isJsonObject(fields) ? fields : {}
}

function mapParam(value: Json | undefined): JsonObject {
  return typeof value === 'object' && value !== null ? (value as JsonObject) : {}
}

function missing(name: string): RestFault {
  return new RestFault('100', `Could not find value for parameter {${name}}`)
}
