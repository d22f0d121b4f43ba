import type { LaneCall } from '../../../client/lane/work.ts'
import type { JsonObject } from '../../../model/json.ts'

/** Rows that the portal lists on a page. */
export const PAGE = 50

/** Free rows, least recently seen first, get a process id of this answer and disappear from other readers. */
export function reserve(connector: string, limit: number): LaneCall {
  const order = { TIMESTAMP_X: 'ASC', ID: 'ASC' }
  return call('event.offline.get', { clear: 0, limit, order }, connector)
}

/** As `reserve`, for rows that `report` has hidden. */
export function reserveHidden(connector: string, limit: number): LaneCall {
  return call('event.offline.get', { clear: 0, limit, error: 1, order: { ID: 'ASC' } }, connector)
}

/** The most rows that are expected under one process id. */
const SET = 1000

/**
 * Rows that a process has reserved, once more; nothing is changed. With a bound below their number, or in the way that
 * removes, rows would be left out or lost. An empty process id would mean free rows, so it throws.
 */
export function reread(connector: string, processId: string, hidden: boolean): LaneCall {
  if (processId === '')
    throw new TypeError('Without a process this call would read other rows than was meant')
  const params = { process_id: processId, clear: 0, limit: SET, order: { ID: 'ASC' } }
  return call('event.offline.get', hidden ? { ...params, error: 1 } : params, connector)
}

/** Free rows that have an id of this span and were not seen again after the cut-off: they are removed, and shown. */
export function remove(
  connector: string,
  rows: { readonly first: string; readonly last: string; readonly notAfter: number; readonly limit: number },
): LaneCall {
  const filter = { '>=ID': rows.first, '<=ID': rows.last, '<=TIMESTAMP_X': isoSecond(rows.notAfter) }
  return call('event.offline.get', { clear: 1, limit: rows.limit, order: { ID: 'ASC' }, filter }, connector)
}

/**
 * Removes messages of a process.
 *
 * An empty process id would remove free rows, an empty list all rows of the process, so neither is ever written: both
 * throw. https://apidocs.bitrix24.com/api-reference/events/event-offline-clear.html
 */
export function clear(connector: string, processId: string, messageIds: readonly string[]): LaneCall {
  return call('event.offline.clear', ofProcess(processId, messageIds), connector)
}

/**
 * Hides messages of a process from readers, until they ask for errors. Throws like `clear`.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-error.html
 */
export function report(connector: string, processId: string, messageIds: readonly string[]): LaneCall {
  return call('event.offline.error', ofProcess(processId, messageIds), connector)
}

/** Lists rows that somebody has reserved, a page of them; changes nothing. */
export function listReserved(connector: string): LaneCall {
  return list(connector, { '>PROCESS_ID': '' }, 0)
}

/** Lists all rows, those seen longest ago first. */
export function listAll(connector: string): LaneCall {
  return call('event.offline.list', { order: { ID: 'ASC' } }, connector)
}

/** Lists free rows by id, by the page; its `total` says how many there are. */
export function listFree(connector: string, start = 0): LaneCall {
  return list(connector, { PROCESS_ID: '', ERROR: 0 }, start)
}

/** Lists rows that `report` has hidden. */
export function listHidden(connector: string, start = 0): LaneCall {
  return list(connector, { ERROR: 1 }, start)
}

function list(connector: string, filter: JsonObject, start: number): LaneCall {
  return call('event.offline.list', { filter, order: { ID: 'ASC' }, start }, connector)
}

function ofProcess(processId: string, messageIds: readonly string[]): JsonObject {
  if (processId === '' || messageIds.length === 0 || messageIds.includes('')) {
    throw new TypeError('Without a process and its messages this call would remove more than was meant')
  }
  return { process_id: processId, message_id: [...messageIds] }
}

/** Portals look for the connector beside the commands of a batch (`withConnector`), or here: it stands in both places. */
function call(method: string, params: JsonObject, connector: string): LaneCall {
  return { method, params: connector === '' ? params : { ...params, auth_connector: connector } }
}

/** As the portal reads a moment: to the second. */
function isoSecond(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}+00:00`
}
