import type { LaneCall } from '../../client/lane/work.ts'
import type { PortalEvent } from '../../model/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** How the record that an event is about is read. */
export interface RecordCall {
  readonly call: LaneCall
  /** The record in the `result`; `undefined` when there is none. */
  read(result: Json | undefined): JsonObject | undefined
}

const CRM = /^ONCRM(LEAD|DEAL|CONTACT|COMPANY|PRODUCT|ACTIVITY|QUOTE|REQUISITE)(?:ADD|UPDATE|MOVETOCATEGORY)$/
const ITEM = /^ONCRMDYNAMICITEM(?:ADD|UPDATE)(?:_\d+)?$/
const TASK = /^ONTASK(?:ADD|UPDATE)$/

/**
 * The call that reads the record of an event; `undefined` for events of things that are gone, and of kinds that have no
 * record to read.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/index.html
 */
export function recordCall({ event, data }: Pick<PortalEvent, 'event' | 'data'>): RecordCall | undefined {
  const kind = CRM.exec(event)?.[1]
  if (kind !== undefined) {
    const id = idOf(data.FIELDS)
    const call = { method: `crm.${kind.toLowerCase()}.get`, params: { id: id ?? '' } }
    return id === undefined ? undefined : { call, read: objectOf }
  }
  if (ITEM.test(event)) {
    const id = idOf(data.FIELDS)
    const entityTypeId = idOf(data.FIELDS, 'ENTITY_TYPE_ID')
    if (id === undefined || entityTypeId === undefined) return undefined
    const call = { method: 'crm.item.get', params: { entityTypeId, id } }
    return { call, read: (result) => memberOf(result, 'item') }
  }
  const id = TASK.test(event) ? idOf(data.FIELDS_AFTER) : undefined
  if (id === undefined) return undefined
  return {
    call: { method: 'tasks.task.get', params: { taskId: id } },
    read: (result) => memberOf(result, 'task'),
  }
}

function idOf(fields: Json | undefined, name = 'ID'): string | undefined {
  const id = isJsonObject(fields) ? fields[name] : undefined
  return (typeof id === 'string' && /^\d+$/.test(id)) || typeof id === 'number' ? String(id) : undefined
}

function objectOf(value: Json | undefined): JsonObject | undefined {
  return isJsonObject(value) ? value : undefined
}

function memberOf(result: Json | undefined, name: string): JsonObject | undefined {
  return isJsonObject(result) ? objectOf(result[name]) : undefined
}
