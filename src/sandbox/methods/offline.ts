import { randomBytes } from 'node:crypto'
import type { Json } from '../../model/json.ts'
import type { OfflineQueue } from '../apps/offline-queue.ts'
import type { OfflineRow } from '../apps/offline-row.ts'
import { installationOf, requireAdmin } from '../caller.ts'
import { argumentFault, unlicensed } from '../errors.ts'
import { idOf } from '../filter.ts'
import { PAGE_SIZE, parseStart } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { isoTime } from '../time.ts'
import { filterTest, GET_FIELDS, LIST_FIELDS, orderOf } from './offline-query.ts'

/**
 * The queue of an application's offline events, seen from one connector.
 *
 * Three habits of portals lose events for who does not know them: `get` clears unless told not to; a re-read that
 * clears takes the whole batch whatever its `limit`; an empty process id, and an empty list of ids, stand for all.
 *
 * https://apidocs.bitrix24.com/api-reference/events/offline-events.html
 */
export const OFFLINE_METHODS: MethodTable = {
  'event.offline.get': { scopes: [], application: true, run: get },
  'event.offline.clear': { scopes: [], application: true, run: clear },
  'event.offline.error': { scopes: [], application: true, run: fail },
  'event.offline.list': { scopes: [], application: true, run: list },
}

/** https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html */
function get(call: Call): Answer {
  const queue = queueOf(call)
  const { params, connector } = call
  const clears = isOn(param(params, 'clear') ?? 1)
  if (!clears && !call.portal.hasFeature('rest_offline_extended'))
    throw unlicensed('extended offline events handling')
  const given = processIdOf(call)
  const limit = idOf(param(params, 'limit') ?? PAGE_SIZE)
  if (limit <= 0) throw argumentFault('LIMIT', 'Value must be positive integer')
  const rows = queue.select({
    connector,
    processId: given ?? '',
    failed: isOn(param(params, 'error') ?? 0),
    test: filterTest(param(params, 'filter'), GET_FIELDS, 'refused'),
    order: orderOf(param(params, 'order'), GET_FIELDS),
    limit,
  })
  const processId = given ?? randomBytes(16).toString('hex')
  if (given === undefined) queue.reserve(rows, processId)
  const first = queue.show(rows)
  const cleared = clears && rows.length > 0 ? queue.clear(processId, connector) : []
  call.exchange.ifLost.push(() => queue.unshow(first, cleared))
  return { result: { process_id: clears ? (given ?? null) : processId, events: rows.map(shown) } }
}

/** https://apidocs.bitrix24.com/api-reference/events/event-offline-clear.html */
function clear(call: Call): Answer {
  const queue = queueOf(call)
  const processId = requireProcessId(call)
  const messages = messageIds(call)
  const ids = param(call.params, 'id')
  if (ids !== undefined && ids !== null && !isIdList(ids))
    throw argumentFault('ID', 'Value must be array of integers')
  const wanted = new Set(typeof ids === 'object' && ids !== null ? Object.values(ids).map(Number) : [])
  const picked =
    messages !== undefined && messages.size > 0
      ? (row: OfflineRow) => messages.has(row.messageId)
      : wanted.size > 0
        ? (row: OfflineRow) => wanted.has(row.id)
        : undefined
  queue.clear(processId, call.connector, picked)
  return { result: true }
}

/** https://apidocs.bitrix24.com/api-reference/events/event-offline-error.html */
function fail(call: Call): Answer {
  const queue = queueOf(call)
  const processId = requireProcessId(call)
  const messages = messageIds(call)
  if (messages === undefined) throw notMessageIds()
  queue.fail(processId, call.connector, messages)
  return { result: true }
}

/** https://apidocs.bitrix24.com/api-reference/events/event-offline-list.html */
function list(call: Call): Answer {
  const queue = queueOf(call)
  const order = orderOf(param(call.params, 'order'), LIST_FIELDS)
  const rows = queue.list(call.connector, filterTest(param(call.params, 'filter'), LIST_FIELDS, 'allowed'))
  rows.sort(order ?? ((a, b) => a.id - b.id))
  const start = Math.max(0, Math.floor(parseStart(call.params.start) / PAGE_SIZE) * PAGE_SIZE)
  const next = start + PAGE_SIZE
  const page = rows.slice(start, next)
  const first = queue.show(page)
  call.exchange.ifLost.push(() => queue.unshow(first, []))
  const result = page.map((row): Json => {
    return { ...shown(row), PROCESS_ID: row.processId, ERROR: row.failed ? '1' : '0' }
  })
  return { result, total: rows.length, ...(next < rows.length ? { next } : {}) }
}

function shown(row: OfflineRow) {
  return {
    ID: String(row.id),
    TIMESTAMP_X: isoTime(row.timestampMs),
    EVENT_NAME: row.event,
    EVENT_DATA: row.data,
    EVENT_ADDITIONAL: row.additional,
    MESSAGE_ID: row.messageId,
  }
}

function queueOf(call: Call): OfflineQueue {
  const { offline } = installationOf(call)
  requireAdmin(call)
  return offline
}

/** What was passed on, and an empty text is not the same as nothing. */
function processIdOf({ params }: Call): string | undefined {
  const value = param(params, 'process_id')
  return value === undefined || value === null ? undefined : String(value)
}

function requireProcessId(call: Call): string {
  const processId = processIdOf(call)
  if (processId === undefined) throw argumentFault('PROCESS_ID', "Argument 'PROCESS_ID' is null or empty")
  return processId
}

function messageIds({ params }: Call): ReadonlySet<string> | undefined {
  const given = param(params, 'message_id')
  if (given === undefined || given === null) return undefined
  if (typeof given !== 'object') throw notMessageIds()
  const values: Json[] = Object.values(given)
  if (!values.every((value) => typeof value === 'string' && value.length === 32)) throw notMessageIds()
  return new Set(values.map(String))
}

function notMessageIds() {
  return argumentFault('MESSAGE_ID', 'Value must be array of MESSAGE_ID values')
}

function isIdList(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).every((id: Json) => /^[1-9]\d*$/.test(String(id)))
}

/** PHP's idea of a flag. */
function isOn(value: Json): boolean {
  return value !== 0 && value !== '0' && value !== '' && value !== false
}
