import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { classicField, type Entity, type EntityField } from '../entities.ts'
import type { Row } from '../table.ts'

/**
 * How classic methods show rows under a `select`: `*` is all but user fields and multi-fields, `UF_*` the user fields
 * of the row, other names are what they say. Nothing selected is `*`; `ID` always comes.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/deals/crm-deal-list.html
 */
export function rowView(entity: Entity, select: Json | undefined): (row: Row) => Row {
  const wanted = (typeof select === 'object' && select !== null ? Object.values(select) : []).map(String)
  const names = wanted.filter((name) => classicField(entity, name) !== undefined)
  const all = wanted.length === 0 || wanted.includes('*')
  const fixed = [...new Set(all ? [...baseFields(entity), ...names] : names)]
  const userFields = wanted.includes('UF_*')
  const whole = all && fixed.length === entity.fields.size
  return (row) => {
    if (whole && Object.keys(row).length === fixed.length) return row
    const made = pickFields(entity, row, fixed)
    return userFields ? { ...made, ...pickFields(entity, row, userFieldsOf(row)) } : made
  }
}

function pickFields(entity: Entity, row: Row, names: readonly string[]): Row {
  const made: Row = { ID: row.ID ?? null }
  for (const name of names) {
    const value = row[name]
    if (value === undefined || (value === null && entity.fields.get(name)?.type === 'multifield')) continue
    made[name] = value
  }
  return made
}

function userFieldsOf(row: Row): string[] {
  return Object.keys(row).filter((name) => name.startsWith('UF_'))
}

const baseFieldsByEntity = new WeakMap<Entity, readonly string[]>()

function baseFields(entity: Entity): readonly string[] {
  let names = baseFieldsByEntity.get(entity)
  if (names === undefined) {
    names = [...entity.fields.values()]
      .filter((field) => field.type !== 'multifield')
      .map((field) => field.name)
    baseFieldsByEntity.set(entity, names)
  }
  return names
}

/** A row as classic `get` methods show it: everything, multi-fields only where there are some. */
export function wholeRow(entity: Entity, row: Row): Row {
  const made = { ...row }
  for (const field of entity.fields.values()) {
    if (field.type === 'multifield' && made[field.name] === null) delete made[field.name]
  }
  return made
}

/** A row as `crm.item.*` shows it: camelCase names, numbers as numbers; `*` or the fields selected, and always `id`. */
export function itemRow(entity: Entity, row: Row, select?: ReadonlySet<string>): Row {
  const made: Row = { id: Number(row.ID) }
  for (const [name, value] of Object.entries(row)) {
    const field = classicField(entity, name)
    if (field === undefined || name === 'ID' || field.type === 'multifield') continue
    if (select === undefined || select.has(field.itemName)) made[field.itemName] = itemValue(field, value)
  }
  if (select === undefined) made.entityTypeId = entity.typeId ?? null
  return made
}

function itemValue(field: EntityField, value: Json): Json {
  if (field.type !== 'integer' && field.type !== 'double') return value
  return value === null || value === '' ? (field.type === 'integer' ? 0 : null) : Number(value)
}

/** A value as it is stored, which is how classic methods show it: text, or null. */
function storedValue(field: EntityField, value: Json, known: Json): Json {
  if (field.type === 'multifield') return mergeMultifield(field.name, value, known)
  if (value === null || value === '') return field.type === 'string' ? value : null
  if (typeof value === 'boolean') return value ? 'Y' : 'N'
  if (typeof value === 'object') return field.name.startsWith('UF_') ? value : null
  if (field.type === 'double') return Number.isFinite(Number(value)) ? Number(value).toFixed(2) : null
  return String(value)
}

let lastMultifieldId = 1_000_000_000

/** Entries without `ID` are new, with one they change the old entry, with an empty `VALUE` they delete it. */
function mergeMultifield(typeId: string, value: Json, known: Json): Json {
  const entries = new Map<string, JsonObject>()
  for (const entry of objectsOf(known)) entries.set(String(entry.ID), entry)
  for (const entry of objectsOf(value)) {
    const id = entry.ID === undefined ? String(++lastMultifieldId) : String(entry.ID)
    if (entry.VALUE === '' || entry.VALUE === null || entry.DELETE === 'Y') entries.delete(id)
    else entries.set(id, multifieldEntry(id, typeId, entry, entries.get(id)))
  }
  return entries.size === 0 ? null : [...entries.values()]
}

function multifieldEntry(
  id: string,
  typeId: string,
  entry: JsonObject,
  known: JsonObject | undefined,
): JsonObject {
  return {
    ID: id,
    VALUE_TYPE: entry.VALUE_TYPE ?? known?.VALUE_TYPE ?? 'WORK',
    VALUE: entry.VALUE === undefined ? (known?.VALUE ?? '') : String(entry.VALUE),
    TYPE_ID: typeId,
  }
}

function objectsOf(value: Json): JsonObject[] {
  if (typeof value !== 'object' || value === null) return []
  return Object.values(value).filter((entry): entry is JsonObject => isJsonObject(entry))
}

/** The stored form of fields that came under names found by `find`; unknown and read-only ones are dropped. */
export function storedFields(
  fields: JsonObject,
  find: (name: string) => EntityField | undefined,
  known: Row | undefined,
): Row {
  const made: Row = {}
  for (const [name, value] of Object.entries(fields)) {
    const field = find(name)
    if (field !== undefined && !field.readOnly)
      made[field.name] = storedValue(field, value, known?.[field.name] ?? null)
  }
  for (const channel of ['PHONE', 'EMAIL']) {
    if (made[channel] !== undefined) made[`HAS_${channel}`] = made[channel] === null ? 'N' : 'Y'
  }
  return made
}

/** A new row: every field of the entity, the portal's own ones filled in. */
export function newRow(entity: Entity, stored: Row, userId: number, date: string): Row {
  const own: Row = {}
  for (const name of entity.fields.keys()) own[name] = null
  const user = String(userId)
  Object.assign(own, DEFAULTS[entity.name], stored)
  for (const name of ['CREATED_BY_ID', 'MODIFY_BY_ID']) if (name in own) own[name] = user
  for (const name of ['DATE_CREATE', 'DATE_MODIFY', 'TIMESTAMP_X']) if (name in own) own[name] = date
  if ('ASSIGNED_BY_ID' in own && own.ASSIGNED_BY_ID === null) own.ASSIGNED_BY_ID = user
  return own
}

const DEFAULTS: Record<Entity['name'], Row> = {
  lead: { STATUS_ID: 'NEW', OPENED: 'Y', HAS_PHONE: 'N', HAS_EMAIL: 'N' },
  deal: {
    STAGE_ID: 'NEW',
    CATEGORY_ID: '0',
    OPENED: 'Y',
    CLOSED: 'N',
    OPPORTUNITY: '0.00',
    CURRENCY_ID: 'EUR',
  },
  contact: { OPENED: 'Y', HAS_PHONE: 'N', HAS_EMAIL: 'N' },
  company: { OPENED: 'Y', HAS_PHONE: 'N', HAS_EMAIL: 'N' },
  product: { ACTIVE: 'Y', SORT: '500', CURRENCY_ID: 'EUR' },
}
