import type { PortalEvent } from '../../../model/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../model/json.ts'
import type { Arrival } from './store.ts'

/** A kind of objects whose changes can be looked up, and the events that tell of them. */
export interface ScanEntity {
  /** `crm.deal`; how settings and the store name it. */
  readonly name: string
  /** What lists it, and what else that wants. */
  readonly method: string
  readonly params: JsonObject
  /** Names of the fields in rows, and in filters where they differ. */
  readonly fields: { readonly id: string; readonly created: string; readonly changed: string }
  readonly filterBy: string
  readonly select: readonly string[]
  /** `ONCRMDEAL`; `ADD` or `UPDATE` follows. */
  readonly event: string
  /** `data` of its events. */
  data(id: string, act: 'ADD' | 'UPDATE'): JsonObject
}

const CRM = /^crm\.(lead|deal|contact|company)$/
const ITEM = /^crm\.item:([1-9]\d{0,9})$/
/** Types whose items have events of the classic kind. https://apidocs.bitrix24.com/api-reference/crm/data-types.html */
const CLASSIC: Readonly<Record<string, string>> = { 1: 'LEAD', 2: 'DEAL', 3: 'CONTACT', 4: 'COMPANY' }

/**
 * The entity of a name: `crm.deal`, `crm.lead`, `crm.contact`, `crm.company`, `tasks.task`, or `crm.item:128` for the items
 * of a smart process. `undefined` for others.
 */
export function scanEntity(name: string): ScanEntity | undefined {
  const classic = CRM.exec(name)?.[1]
  if (classic !== undefined) {
    const fields = { id: 'ID', created: 'DATE_CREATE', changed: 'DATE_MODIFY' }
    const event = `ONCRM${classic.toUpperCase()}`
    return { ...crm(name, fields), method: `crm.${classic}.list`, params: {}, event, data: plainData }
  }
  const type = ITEM.exec(name)?.[1]
  if (type !== undefined) {
    const fields = { id: 'id', created: 'createdTime', changed: 'updatedTime' }
    const own = CLASSIC[type]
    return {
      ...crm(name, fields),
      method: 'crm.item.list',
      params: { entityTypeId: Number(type) },
      event: own === undefined ? 'ONCRMDYNAMICITEM' : `ONCRM${own}`,
      data: own === undefined ? (id) => ({ FIELDS: { ID: id, ENTITY_TYPE_ID: type } }) : plainData,
    }
  }
  return name === 'tasks.task' ? TASK : undefined
}

function crm(name: string, fields: ScanEntity['fields']) {
  return { name, fields, filterBy: fields.changed, select: Object.values(fields) }
}

function plainData(id: string): JsonObject {
  return { FIELDS: { ID: id } }
}

/** https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-list.html */
const TASK: ScanEntity = {
  name: 'tasks.task',
  method: 'tasks.task.list',
  params: {},
  fields: { id: 'id', created: 'createdDate', changed: 'changedDate' },
  filterBy: 'CHANGED_DATE',
  select: ['ID', 'CREATED_DATE', 'CHANGED_DATE'],
  event: 'ONTASK',
  // As the portal writes it: https://apidocs.bitrix24.com/api-reference/tasks/events-tasks/index.html
  data: (id, act) => ({
    FIELDS_BEFORE: act === 'ADD' ? 'undefined' : { ID: id },
    FIELDS_AFTER: { ID: id },
    IS_ACCESSIBLE_BEFORE: act === 'ADD' ? 'N' : 'undefined',
    IS_ACCESSIBLE_AFTER: 'undefined',
  }),
}

const TELLS = /^ON(?:CRM(LEAD|DEAL|CONTACT|COMPANY|DYNAMICITEM)|TASK)(ADD|UPDATE)(?:_\d+)?$/

/**
 * Of which objects an event tells, under every name that they have; none for events of other things, and for those that do
 * not say when they happened.
 */
export function arrivalsOf({ memberId, event, data, happenedAt }: PortalEvent): Arrival[] {
  const [, kind, act] = TELLS.exec(event) ?? []
  if (act === undefined || happenedAt === undefined) return []
  const fields = fieldsOf(kind === undefined ? data.FIELDS_AFTER : data.FIELDS)
  const id = textOf(fields.ID)
  if (id === '') return []
  return namesOf(kind, textOf(fields.ENTITY_TYPE_ID)).map((entity) => ({
    memberId,
    entity,
    objectId: id,
    act: act === 'ADD' ? ('add' as const) : ('change' as const),
    happenedAt,
  }))
}

function namesOf(kind: string | undefined, typeId: string): string[] {
  if (kind === undefined) return ['tasks.task']
  if (kind === 'DYNAMICITEM') return typeId === '' ? [] : [`crm.item:${typeId}`]
  const type = Object.keys(CLASSIC).find((id) => CLASSIC[id] === kind)
  return [`crm.${kind.toLowerCase()}`, `crm.item:${type}`]
}

function fieldsOf(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {}
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
