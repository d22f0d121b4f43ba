import type { Json } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import type { EventHandler } from '../apps/installations.ts'
import { installationOf, isAdmin, text } from '../caller.ts'
import { argumentFault, RestFault, systemFault } from '../errors.ts'
import { idOf } from '../filter.ts'
import type { FormValue } from '../form.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { eventNames, eventNamesOf, isSubscribable } from './event-names.ts'

/**
 * Subscriptions of an application, and the event that it can send itself.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-bind.html
 */
export const EVENT_METHODS: MethodTable = {
  events: { scopes: [], application: true, run: names },
  'event.bind': { scopes: [], application: true, run: bind },
  'event.get': { scopes: [], application: true, run: list },
  'event.unbind': { scopes: [], application: true, run: unbind },
  'event.test': { scopes: [], application: true, run: test },
}

function names({ params, credential }: Call): Answer {
  const scope = param(params, 'SCOPE')
  if (scope) return { result: [...eventNamesOf(String(scope))] }
  const full = param(params, 'FULL')
  return { result: eventNames(full && full !== '0' ? 'all' : { scopes: credential.scopes }) }
}

function bind(call: Call): Answer {
  const installation = installationOf(call)
  const wanted = subscriptionOf(call, 'binding')
  if (!isSubscribable(wanted.event, call.credential.scopes))
    throw new RestFault('ERROR_EVENT_NOT_FOUND', 'Event not found')
  if (!wanted.offline) checkHandlerUrl(wanted.url)
  if (wanted.offline && wanted.event === 'ONOFFLINEEVENT')
    throw argumentFault('EVENT_TYPE', 'Offline event cannot be registered for this event.')
  const userId = wanted.userId ?? (isAdmin(call) || wanted.offline ? 0 : call.credential.userId)
  const id = call.portal.nextHandlerId()
  const handler = { ...wanted, ...nudging(call, wanted.event), userId, id }
  if (installation.handlers.some((known) => isSame(known, handler) && known.connector === handler.connector))
    throw new RestFault('ERROR_CORE', 'Unable to set event handler: Handler already binded')
  installation.handlers.push(handler)
  return { result: true }
}

/** `options.minTimeout`; other options are dropped. */
function nudging({ params }: Call, event: string): Pick<EventHandler, 'minTimeoutSeconds'> {
  const options = param(params, 'options')
  const seconds = isJsonObject(options) ? param(options, 'minTimeout') : undefined
  if (event !== 'ONOFFLINEEVENT' || seconds === undefined) return {}
  return { minTimeoutSeconds: Math.max(0, idOf(seconds)) }
}

/**
 * Sends `ONAPPTEST` to the application's own handler for it.
 *
 * https://apidocs.bitrix24.com/api-reference/events/test-handler.html
 */
function test(call: Call): Answer {
  const data = { QUERY: call.params as { readonly [name: string]: FormValue }, LANGUAGE_ID: 'en' }
  call.exchange.hit.note('ONAPPTEST', data, { only: installationOf(call) })
  return { result: 1 }
}

/** Without `auth_type` an administrator removes the handlers of all users. */
function unbind(call: Call): Answer {
  const installation = installationOf(call)
  const wanted = subscriptionOf(call, 'unbinding')
  const own = isAdmin(call) ? undefined : call.credential.userId
  const userId = wanted.userId ?? (wanted.offline ? 0 : own)
  const kept = installation.handlers.filter((known) => {
    const sameConnector = !wanted.offline || known.connector === wanted.connector
    return !sameConnector || !isSame(known, { ...wanted, userId: userId ?? known.userId })
  })
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
    throw argumentFault('EVENT_TYPE', 'Value must be one of {online|offline}')
  }
  const offline = type === 'offline'
  if (offline && !isAdmin(call)) throw denied(`Offline events ${act} requires`)
  if (!isAdmin(call) && !mayName(call, userId, act)) throw denied(`Event ${act} with AUTH_TYPE requires`)
  const url = offline ? '' : text(call, 'handler')
  if (url === '' && !offline) throw missing('HANDLER')
  return {
    event,
    url,
    userId: offline ? 0 : userId,
    offline,
    connector: call.connector,
  }
}

/** Others than administrators name themselves only; to unbind, by a number and not by its digits. */
function mayName({ params, credential }: Call, userId: number | undefined, act: string): boolean {
  if (userId === undefined) return true
  return userId === credential.userId && (act === 'binding' || typeof param(params, 'auth_type') === 'number')
}

/** The same but for the connector, which `event.unbind` does not look at for handlers with an address. */
function isSame(known: EventHandler, wanted: Omit<EventHandler, 'id'>): boolean {
  const { event, url, userId, offline } = wanted
  return known.event === event && known.url === url && known.userId === userId && known.offline === offline
}

function missing(argument: string): RestFault {
  return argumentFault(argument, `Argument '${argument}' is null or empty`)
}

function denied(what: string): RestFault {
  return systemFault('ACCESS_DENIED', `Access denied! ${what} administrator access rights`)
}
