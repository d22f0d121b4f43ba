import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { requireAdmin } from '../caller.ts'
import { idOf } from '../filter.ts'
import type { Answer, Call, MethodTable } from '../method.ts'
import { V3Fault } from './errors.ts'
import { idParam, notFound } from './items.ts'
import { filterOf, orderOf, pageOf, type Shape, selectOf, unreadable } from './query.ts'

/**
 * The event log, which only REST v3 has. The sandbox's tells of one thing: that each user has signed in.
 *
 * https://apidocs.bitrix24.com/api-reference/event-log/index.html
 */
export const EVENT_LOG_METHODS: MethodTable = {
  'main.eventlog.get': { scopes: ['main'], run: get },
  'main.eventlog.list': { scopes: ['main'], run: list },
  'main.eventlog.tail': { scopes: ['main'], run: tail },
}

const ENTRY: Shape = {
  name: 'EventLogDto',
  fields: {
    id: 'integer',
    timestampX: 'datetime',
    severity: 'string',
    auditTypeId: 'string',
    moduleId: 'string',
    itemId: 'string',
    remoteAddr: 'string',
    userAgent: 'string',
    requestUri: 'string',
    siteId: 'string',
    userId: 'integer',
    guestId: 'integer',
    description: 'string',
  },
}

function get(call: Call): Answer {
  requireAdmin(call)
  const id = idParam(call)
  const entry = entries(call).find((each) => each.id === id)
  if (entry === undefined) throw notFound(id)
  return { result: { item: selectOf(ENTRY, call.params.select)(entry) } }
}

function list(call: Call): Answer {
  requireAdmin(call)
  const { select, filter, order, pagination } = call.params
  const found = entries(call).filter(filterOf(ENTRY, filter)).sort(orderOf(ENTRY, order))
  return { result: { items: found.slice(...pageOf(pagination)).map(selectOf(ENTRY, select)) } }
}

/** https://apidocs.bitrix24.com/api-reference/event-log/main-eventlog-tail.html */
function tail(call: Call): Answer {
  requireAdmin(call)
  const { select, filter, cursor = {} } = call.params
  if (!isJsonObject(cursor)) throw unreadable('PAGINATION', 'cursor', cursor)
  const { field = 'id', value = 0, order = 'ASC', limit } = cursor
  if (isNamed(filter, String(field)))
    throw new V3Fault(
      'INVALIDFILTEREXCEPTION',
      `Unable to recognize filter expression \`Cursor field ${field} cannot be used at filter.\``,
    )
  const behind = [[field, /^desc$/i.test(String(order)) ? '<' : '>', value]]
  const found = entries(call)
    .filter(filterOf(ENTRY, behind))
    .filter(filterOf(ENTRY, filter))
    .sort(orderOf(ENTRY, { [String(field)]: order }))
  const page = pageOf(limit === undefined ? undefined : { limit })
  return { result: { items: found.slice(...page).map(selectOf(ENTRY, select)) } }
}

function isNamed(filter: Json | undefined, field: string): boolean {
  return Array.isArray(filter) && filter.some((part: Json) => Array.isArray(part) && part[0] === field)
}

function entries({ portal }: Call): JsonObject[] {
  const { user } = portal.data
  return [...user.ids(1, user.lastId, false)].map((id) => {
    const row = user.get(id) ?? {}
    return {
      id,
      timestampX: row.LAST_LOGIN ?? null,
      severity: 'SECURITY',
      auditTypeId: 'USER_AUTHORIZE',
      moduleId: 'main',
      itemId: String(row.ID),
      remoteAddr: '203.0.113.7',
      userAgent: '',
      requestUri: '/',
      siteId: 's1',
      userId: idOf(row.ID ?? 0),
      guestId: 0,
      description: '',
    }
  })
}
