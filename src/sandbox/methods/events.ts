import type { Json } from '../../model/json.ts'
import { RestFault } from '../errors.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'

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
 * Subscriptions of the application. They are kept and listed; the sandbox calls no handlers.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-bind.html
 */
export const EVENT_METHODS: MethodTable = {
  events: { scopes: [], application: true, run: () => ({ result: EVENTS }) },
  'event.bind': { scopes: [], application: true, run: bind },
  'event.get': {
    scopes: [],
    application: true,
    run: ({ portal }) => ({ result: portal.handlers as unknown as Json }),
  },
  'event.unbind': { scopes: [], application: true, run: unbind },
}

function bind({ portal, params }: Call): Answer {
  const event = text(params, 'event').toUpperCase()
  const handler = text(params, 'handler')
  const offline = text(params, 'event_type').toLowerCase() === 'offline'
  if (!EVENTS.includes(event)) throw new RestFault('ERROR_EVENT_NOT_FOUND', 'Event not found')
  if (handler === '' && !offline) {
    throw new RestFault('ERROR_ARGUMENT', "Argument 'HANDLER' is null or empty", 400, { argument: 'HANDLER' })
  }
  if (portal.handlers.some((known) => known.event === event && known.handler === handler)) {
    throw new RestFault('ERROR_CORE', 'Unable to set event handler: Handler already binded')
  }
  portal.handlers.push({
    event,
    handler,
    auth_type: text(params, 'auth_type') || '0',
    offline: offline ? 1 : 0,
  })
  return { result: true }
}

function unbind({ portal, params }: Call): Answer {
  const event = text(params, 'event').toUpperCase()
  const handler = text(params, 'handler')
  const before = portal.handlers.length
  const kept = portal.handlers.filter((known) => known.event !== event || known.handler !== handler)
  portal.handlers.splice(0, before, ...kept)
  return { result: { count: before - kept.length } }
}

function text(params: Call['params'], name: string): string {
  return String(param(params, name) ?? '')
}
