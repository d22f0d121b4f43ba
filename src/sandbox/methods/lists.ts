import type { JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { RestFault } from '../errors.ts'
import { type Condition, type FieldType, idOf, parseFilterKey } from '../filter.ts'
import { listRows, PAGE_SIZE, parseStart, type Sorting } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import type { Row } from '../table.ts'
import { isoTime } from '../time.ts'
import { pageAnswer } from './paging.ts'

/**
 * Elements of universal lists. Lists 1 to 99 exist and begin empty; `ELEMENT_CODE` is unique in its list, so that
 * repeating an `add` is refused. An `update` clears the fields which it does not name.
 *
 * https://apidocs.bitrix24.com/api-reference/lists/elements/index.html
 */
export const LIST_METHODS: MethodTable = {
  'lists.element.add': { scopes: ['lists'], run: add },
  'lists.element.get': { scopes: ['lists'], run: list },
  'lists.element.update': { scopes: ['lists'], run: update },
  'lists.element.delete': { scopes: ['lists'], run: remove },
}

const LISTS = 99

function add(call: Call): Answer {
  const iblock = iblockOf(call)
  const code = String(param(call.params, 'ELEMENT_CODE') ?? '')
  if (code === '') throw missing('ELEMENT_CODE')
  const fields = fieldsOf(call)
  const { element } = call.portal.data
  if (find(call, iblock, code) !== undefined) {
    throw new RestFault('ERROR_ELEMENT_ALREADY_EXISTS', 'Element already exists')
  }
  const user = String(call.credential.userId)
  const row: Row = {
    ...fields,
    IBLOCK_ID: String(iblock),
    CODE: code,
    CREATED_BY: user,
    DATE_CREATE: isoTime(call.exchange.startMs),
  }
  const id = element.insert(row)
  call.portal.wrote('lists.element.add', id, row)
  return { result: id }
}

function update(call: Call): Answer {
  const { id, row } = existing(call)
  const cleared = Object.fromEntries(
    Object.keys(row)
      .filter((name) => !OWN.includes(name))
      .map((name) => [name, null]),
  )
  call.portal.data.element.update(id, { ...cleared, ...fieldsOf(call) })
  call.portal.wrote('lists.element.update', id, call.portal.data.element.get(id) ?? {})
  return { result: true }
}

function remove(call: Call): Answer {
  const { id, row } = existing(call)
  call.portal.data.element.remove(id)
  call.portal.wrote('lists.element.delete', id, row)
  return { result: true }
}

function list(call: Call): Answer {
  const iblock = iblockOf(call)
  const conditions: Condition[] = [{ operator: '=', field: 'IBLOCK_ID', type: 'integer', value: iblock }]
  const id = param(call.params, 'ELEMENT_ID')
  const code = param(call.params, 'ELEMENT_CODE')
  if (id !== undefined) conditions.push({ operator: '=', field: 'ID', type: 'integer', value: id })
  if (code !== undefined) conditions.push({ operator: '=', field: 'CODE', type: 'string', value: code })
  const filter = param(call.params, 'FILTER')
  for (const [key, value] of Object.entries(isJsonObject(filter) ? filter : {})) {
    const { operator, field } = parseFilterKey(key)
    conditions.push({ operator, field, type: typeOf(field), value })
  }
  const page = listRows(call.portal.data.element, {
    conditions,
    order: orderOf(call),
    start: parseStart(call.params.start),
  })
  return pageAnswer(call, page, page.rows, 'zero')
}

const OWN = ['ID', 'IBLOCK_ID', 'CODE', 'CREATED_BY', 'DATE_CREATE']

function orderOf(call: Call): Sorting[] {
  const order = param(call.params, 'ELEMENT_ORDER')
  return Object.entries(isJsonObject(order) ? order : {}).map(([field, direction]) => ({
    field,
    type: typeOf(field),
    descending: String(direction).toUpperCase() === 'DESC',
  }))
}

function typeOf(field: string): FieldType {
  return field === 'ID' || field === 'CREATED_BY'
    ? 'integer'
    : field === 'DATE_CREATE'
      ? 'datetime'
      : 'string'
}

function iblockOf({ params }: Call): number {
  if (!param(params, 'IBLOCK_TYPE_ID')) throw missing('IBLOCK_TYPE_ID')
  const id = param(params, 'IBLOCK_ID')
  if (!id) throw missing('IBLOCK_ID')
  const iblock = idOf(id)
  if (iblock < 1 || iblock > LISTS) throw new RestFault('ERROR_IBLOCK_NOT_FOUND', 'Iblock not found')
  return iblock
}

function fieldsOf({ params }: Call): Row {
  const fields = param(params, 'FIELDS')
  if (!isJsonObject(fields) || !fields.NAME) throw missing('NAME')
  const named: JsonObject = fields
  return Object.fromEntries(Object.entries(named).filter(([name]) => !OWN.includes(name)))
}

function existing(call: Call): { id: number; row: Row } {
  const iblock = iblockOf(call)
  const code = param(call.params, 'ELEMENT_CODE')
  const id = idOf(param(call.params, 'ELEMENT_ID') ?? find(call, iblock, String(code ?? ''))?.ID ?? 0)
  const row = call.portal.data.element.get(id)
  if (row === undefined || row.IBLOCK_ID !== String(iblock)) {
    throw new RestFault('ERROR_ELEMENT_NOT_FOUND', 'Element not found')
  }
  return { id, row }
}

function find(call: Call, iblock: number, code: string): Row | undefined {
  const conditions: Condition[] = [
    { operator: '=', field: 'CODE', type: 'string', value: code },
    { operator: '=', field: 'IBLOCK_ID', type: 'integer', value: iblock },
  ]
  return listRows(call.portal.data.element, { conditions, order: [], start: -PAGE_SIZE }).rows[0]
}

function missing(name: string): RestFault {
  return new RestFault('ERROR_REQUIRED_PARAMETERS_MISSING', `Required parameter \`${name}\` is missing`)
}
