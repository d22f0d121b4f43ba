import type { EventKind } from '../../model/event.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'

/** What a posted form is. */
export type Recognised =
  /** Something to be published. */
  | { readonly what: 'happening'; readonly kind: EventKind; readonly event: string }
  /** The application was installed, updated or uninstalled: what we know of the portal changes too. */
  | { readonly what: 'life-cycle'; readonly event: string }
  /** Offline events wait to be fetched. */
  | { readonly what: 'nudge' }
  /** A page to be shown, a form of settings, a call whose HTTP answer is the result: not for this address. */
  | { readonly what: 'page' | 'settings' | 'question' }
  | { readonly what: 'unknown' }

const LIFE_CYCLE = new Set(['ONAPPINSTALL', 'ONAPPUPDATE', 'ONAPPUNINSTALL'])

/** What is told of an application itself besides `ONAPP…`. */
const RENEWED = 'ONSUBSCRIPTIONRENEW'
/** A page in the background of the portal was too slow and has been switched off. */
const OVERTIME = 'ERROR_PLACEMENT_LOADING_OVERTIME'
/** The name under which a workflow's own outgoing webhook is published; it has none itself. */
const WORKFLOW_WEBHOOK = 'OUTGOINGWEBHOOK'

/**
 * What a form is, by its fields alone: an address may be given to a portal for anything. From top to bottom, the first
 * that fits:
 *
 * | fields | is |
 * | --- | --- |
 * | `event` `OnAppSettings…`; `saveform=Y` with `auth` | a form of settings |
 * | `event` `ONAPPINSTALL`, `ONAPPUPDATE`, `ONAPPUNINSTALL` | the application's life |
 * | `event` `ONOFFLINEEVENT` | a nudge |
 * | `event` `ONIMBOT…`, `ONIMCOMMAND…` | `bot` |
 * | `event` `ONIMCONNECTOR…` | `connector` |
 * | `event` `ONAPP…`, `ONSUBSCRIPTIONRENEW` | `app` |
 * | any other `event` | `event` |
 * | `event_token`, `workflow_id`, `code` | `robot` |
 * | `message_id`, `message_to`, `code`, `type` `SMS` | `message` |
 * | `PLACEMENT` with `AUTH_ID`, or `APP_SID` in the address | a page |
 * | `ERROR_PLACEMENT_LOADING_OVERTIME` anywhere | `app` |
 * | `callbackUrl`, `errorCallbackUrl` | a question |
 * | `document_id` | `workflow` |
 */
export function recognise(form: JsonObject, query: URLSearchParams): Recognised {
  const event = textOf(form.event).toUpperCase()
  if (/^ONAPPSETTINGS(?:INSTALL|DISPLAY|CHANGE)$/.test(event)) return { what: 'settings' }
  if (form.saveform === 'Y' && isJsonObject(form.auth)) return { what: 'settings' }
  if (event !== '') return recogniseEvent(event)
  if (has(form, 'event_token') && has(form, 'workflow_id') && has(form, 'code'))
    return { what: 'happening', kind: 'robot', event: textOf(form.code) }
  const provider = has(form, 'message_id') && has(form, 'message_to') && has(form, 'code')
  if (provider && form.type === 'SMS') return { what: 'happening', kind: 'message', event: textOf(form.code) }
  if (has(form, 'PLACEMENT') && (form.AUTH_ID !== undefined || query.has('APP_SID'))) return { what: 'page' }
  if (holds(form, OVERTIME)) return { what: 'happening', kind: 'app', event: OVERTIME }
  if (has(form, 'callbackUrl') && has(form, 'errorCallbackUrl')) return { what: 'question' }
  if (form.document_id !== undefined) return { what: 'happening', kind: 'workflow', event: WORKFLOW_WEBHOOK }
  return { what: 'unknown' }
}

function recogniseEvent(event: string): Recognised {
  if (LIFE_CYCLE.has(event)) return { what: 'life-cycle', event }
  if (event === 'ONOFFLINEEVENT') return { what: 'nudge' }
  return { what: 'happening', kind: kindOf(event), event }
}

function kindOf(event: string): EventKind {
  if (event.startsWith('ONIMBOT') || event.startsWith('ONIMCOMMAND')) return 'bot'
  if (event.startsWith('ONIMCONNECTOR')) return 'connector'
  return event.startsWith('ONAPP') || event === RENEWED ? 'app' : 'event'
}

function has(form: JsonObject, name: string): boolean {
  return textOf(form[name]) !== ''
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

/** The word as a key or a value of the form's first level, or of its `data`. */
function holds(form: JsonObject, word: string): boolean {
  const near = isJsonObject(form.data) ? { ...form.data, ...form } : form
  return Object.entries(near).some(([key, value]) => key === word || value === word)
}
