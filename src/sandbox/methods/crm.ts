import type { Json, JsonObject } from '../../model/json.ts'
import { classicField, ENTITIES, type Entity } from '../entities.ts'
import { RestFault } from '../errors.ts'
import { type Condition, idOf, parseFilterKey } from '../filter.ts'
import { crmChange, note } from '../happenings.ts'
import { listRows, parseStart, type Sorting } from '../listing.ts'
import { type Answer, type Call, type Method, type MethodTable, param } from '../method.ts'
import type { Table } from '../table.ts'
import { isoTime } from '../time.ts'
import { newRow, rowView, storedFields, wholeRow } from './crm-rows.ts'
import { pageAnswer } from './paging.ts'

/**
 * The classic methods of leads, deals, contacts, companies and products. All values are text; unknown fields are
 * silently dropped, in filters too.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/deals/index.html
 */
export const CRM_METHODS: MethodTable = Object.assign({}, ...Object.values(ENTITIES).map(methodsOf))

function methodsOf(entity: Entity): MethodTable {
  const prefix = `crm.${entity.name}`
  const method = (run: (call: Call, entity: Entity) => Answer): Method => ({
    scopes: ['crm'],
    run: (call) => run(call, entity),
  })
  return {
    [`${prefix}.add`]: method(add),
    [`${prefix}.get`]: method(get),
    [`${prefix}.list`]: method(list),
    [`${prefix}.update`]: method(update),
    [`${prefix}.delete`]: method(remove),
    [`${prefix}.fields`]: method((_, kind) => ({ result: describeFields(kind) })),
  }
}

function tableOf(call: Call, entity: Entity): Table {
  return call.portal.data[entity.name]
}

function get(call: Call, entity: Entity): Answer {
  const row = tableOf(call, entity).get(requireId(call))
  if (row === undefined) throw notFound()
  return { result: wholeRow(entity, row) }
}

function add(call: Call, entity: Entity): Answer {
  const stored = storedFields(
    requireMap(call, 'fields') ?? {},
    (name) => classicField(entity, name),
    undefined,
  )
  const row = newRow(entity, stored, call.credential.userId, isoTime(call.exchange.startMs))
  const id = tableOf(call, entity).insert(row)
  call.portal.wrote(`crm.${entity.name}.add`, id, row)
  note(call, crmChange(entity.name, 'ADD', id))
  return { result: id }
}

function update(call: Call, entity: Entity): Answer {
  const table = tableOf(call, entity)
  const id = requireId(call)
  const known = table.get(id)
  if (known === undefined) throw notFound()
  const stored = storedFields(requireMap(call, 'fields') ?? {}, (name) => classicField(entity, name), known)
  const changed = entity.name === 'product' ? 'TIMESTAMP_X' : 'DATE_MODIFY'
  table.update(id, { ...stored, [changed]: isoTime(call.exchange.startMs) })
  call.portal.wrote(`crm.${entity.name}.update`, id, { ...known, ...stored })
  note(call, crmChange(entity.name, 'UPDATE', id))
  return { result: true }
}

function remove(call: Call, entity: Entity): Answer {
  const table = tableOf(call, entity)
  const id = requireId(call)
  const known = table.get(id)
  if (known === undefined || !table.remove(id)) throw notFound()
  call.portal.wrote(`crm.${entity.name}.delete`, id, known)
  note(call, crmChange(entity.name, 'DELETE', id))
  return { result: true }
}

/** https://apidocs.bitrix24.com/api-reference/crm/deals/crm-deal-list.html */
function list(call: Call, entity: Entity): Answer {
  const view = rowView(entity, param(call.params, 'select'))
  const page = listRows(tableOf(call, entity), {
    conditions: conditionsOf(entity, requireMap(call, 'filter') ?? {}),
    order: orderOf(entity, requireMap(call, 'order') ?? {}),
    start: parseStart(call.params.start),
  })
  return pageAnswer(call, page, page.rows.map(view), 'zero')
}

function conditionsOf(entity: Entity, filter: JsonObject): Condition[] {
  return Object.entries(filter).flatMap(([key, value]): Condition[] => {
    const { operator, field: name } = parseFilterKey(key)
    const field = classicField(entity, name)
    return field === undefined ? [] : [{ operator, field: field.name, type: field.type, value }]
  })
}

function orderOf(entity: Entity, order: JsonObject): Sorting[] {
  return Object.entries(order).flatMap(([name, direction]): Sorting[] => {
    const field = classicField(entity, name)
    if (field === undefined) return []
    return [{ field: field.name, type: field.type, descending: String(direction).toUpperCase() === 'DESC' }]
  })
}

/** https://apidocs.bitrix24.com/api-reference/crm/deals/crm-deal-fields.html */
function describeFields(entity: Entity): Json {
  const described: Record<string, Json> = {}
  for (const field of entity.fields.values()) {
    described[field.name] = {
      type: field.type === 'multifield' ? 'crm_multifield' : field.type,
      isRequired: false,
      isReadOnly: field.readOnly,
      isImmutable: false,
      isMultiple: field.type === 'multifield',
      isDynamic: false,
      title: field.name,
    }
  }
  return described
}

function requireId(call: Call): number {
  const id = idOf(param(call.params, 'id') ?? 0)
  if (id <= 0) throw new RestFault('', 'ID is not defined or invalid.')
  return id
}

function requireMap(call: Call, name: 'fields' | 'filter' | 'order'): JsonObject | undefined {
  const value = param(call.params, name)
  if (value === undefined && name !== 'fields') return undefined
  if (typeof value !== 'object' || value === null)
    throw new RestFault('', `Parameter '${name}' must be array.`)
  return value as JsonObject
}

function notFound(): RestFault {
  return new RestFault('', 'Not found')
}
