import type { Json } from '../../model/json.ts'
import type { EventHandler } from '../apps/installations.ts'
import { installationOf, isAdmin, text } from '../caller.ts'
import { RestFault, systemFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import type { Answer, Call, MethodTable } from '../method.ts'

/** Events that can be subscribed to, in upper case as the portal spells them. */
const EVENTS = [
  'ONAPPINSTALL',
  'ONAPPUPDATE',
  'ONAPPUNINSTALL',
  ...['LEAD', 'DEAL', 'CONTACT', 'COMPANY', 'PRODUCT'].flatMap((kind) =>
    ['ADD', 'UPDATE', 'DELETE'].map((act) => `ONCRM${kind}${act}`),
  ),
  'ONTASKADD',
  'ONTASKUPDATE',
  'ONTASKDELETE',
  'ONUSERADD',
]

/**
 * Subscriptions of an application. Handlers are called for events of its own life; others are kept and listed.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-bind.html
 */
export const EVENT_METHODS: MethodTable = {
  events: { scopes: [], application: true, run: () => ({ result: EVENTS }) },
  'event.bind': { scopes: [], application: true, run: bind },
  'event.get': { scopes: [], application: true, run: list },
  'event.unbind': { scopes: [], application: true, run: unbind },
}

function bind(call: Call): Answer {
  const installation = installationOf(call)
  const wanted = subscriptionOf(call, 'binding')
  if (!EVENTS.includes(wanted.event)) throw new RestFault('ERROR_EVENT_NOT_FOUND', 'Event not found')
  if (!wanted.offline) checkHandlerUrl(wanted.url)
  const userId = wanted.userId ?? (isAdmin(call) || wanted.offline ? 0 : call.credential.userId)
  const handler = { ...wanted, userId, id: call.portal.nextHandlerId() }
  if (installation.handlers.some((known) => isSame(known, handler))) {
    throw new RestFault('ERROR_CORE', 'Unable to set event handler: Handler already binded')
  }
  installation.handlers.push(handler)
  return { result: true }
}

/** Without `auth_type` an administrator removes the handlers of all users. */
function unbind(call: Call): Answer {
  const installation = installationOf(call)
  const wanted = subscriptionOf(call, 'unbinding')
  const own = isAdmin(call) ? undefined : call.credential.userId
  const userId = wanted.userId ?? (wanted.offline ? 0 : own)
  const kept = installation.handlers.filter(
    (known) => !isSame(known, { ...wanted, userId: userId ?? known.userId }),
  )
  const count = installation.handlers.length - kept.length
  installation.handlers = kept
  return { result: { count } }
}

function list(call: Call): Answer {
  const visible = installationOf(call).handlers.filter(
    ({ userId }) => isAdmin(call) || userId === call.credential.userId,
  )
  return { result: visible.map(shown) }
}

function shown({ event, url, userId, offline, connector }: EventHandler): Json {
  if (offline) return { event, connector_id: connector, offline: 1 }
  return { event, handler: url, auth_type: String(userId), offline: 0 }
}

interface Subscription extends Omit<EventHandler, 'id' | 'userId'> {
  /** Missing when the call names no user. */
  readonly userId: number | undefined
}

/** What a call wants to bind or unbind, its rights checked. */
function subscriptionOf(call: Call, act: 'binding' | 'unbinding'): Subscription {
  const event = text(call, 'event').toUpperCase()
  const type = text(call, 'event_type').toLowerCase() || 'online'
  const userId = text(call, 'auth_type') === '' ? undefined : Number(text(call, 'auth_type'))
  if (event === '') throw missing('EVENT')
  if (type !== 'online' && type !== 'offline') {
    throw new RestFault('ERROR_ARGUMENT', 'Value must be one of {online|offline}', 400, {
      argument: 'EVENT_TYPE',
    })
  }
  const offline = type === 'offline'
  if (offline && !isAdmin(call)) throw denied(`Offline events ${act} requires`)
  if (userId !== undefined && userId !== call.credential.userId && !isAdmin(call))
    throw denied(`Event ${act} with AUTH_TYPE requires`)
  const url = offline ? '' : text(call, 'handler')
  if (url === '' && !offline) throw missing('HANDLER')
  return {
    event,
    url,
    userId: offline ? 0 : userId,
    offline,
    connector: offline ? text(call, 'auth_connector') : '',
  }
}

function isSame(known: EventHandler, wanted: Omit<EventHandler, 'id'>): boolean {
  const { event, url, userId, offline, connector } = wanted
  return (
    known.event === event &&
    known.url === url &&
    known.userId === userId &&
    known.offline === offline &&
    known.connector === connector
  )
}

function missing(argument: string): RestFault {
  return new RestFault('ERROR_ARGUMENT', `Argument '${argument}' is null or empty`, 400, { argument })
}

function denied(what: string): RestFault {
  return systemFault('ACCESS_DENIED', `Access denied! ${what} administrator access rights`)
}
