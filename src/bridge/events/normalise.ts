import { createHash } from 'node:crypto'
import type { EventKind, PortalEvent } from '../../model/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { refuseEvent } from './refusals.ts'
import { secretsIn, stripTokens } from './strip.ts'
import type { Origin, Proven } from './verify.ts'

/** A verified form with what is known of it. */
export interface Happening {
  readonly kind: EventKind
  readonly event: string
  readonly form: JsonObject
  readonly from: Proven
  readonly receivedAt: number
  /** Fresh; for what comes without anything that would tell it from the next one. */
  readonly newId: () => string
  /** Add the fields as they were posted, without tokens. */
  readonly withRaw: boolean
}

/** Longer names fit neither a routing key nor AMQP's property of the type. */
const LONGEST_EVENT = 200

/** Who a form says it is from. Throws `FORM_INVALID` for an id or a token that cannot be one. */
export function originOf(form: JsonObject, query: URLSearchParams): Origin {
  const auth = authOf(form)
  const memberId = optionalText(auth.member_id, /^[\w.-]{1,64}$/)
  const applicationToken = optionalText(auth.application_token, /^[\x21-\x7e]{1,1000}$/)
  const [portal, key] = [query.get('portal'), query.get('key')]
  return {
    ...(memberId === undefined ? {} : { memberId }),
    ...(applicationToken === undefined ? {} : { applicationToken }),
    ...(portal === null || key === null ? {} : { handler: { memberId: portal, key } }),
  }
}

/** The event of a form. Throws `FORM_INVALID` for a name that cannot be one. */
export function normalise({ form, from, kind, event, ...rest }: Happening): PortalEvent {
  if (!/^[^\p{Cc}]+$/u.test(event) || event.length > LONGEST_EVENT) throw refuseEvent('FORM_INVALID')
  const secrets = secretsIn(form)
  const data = stripTokens(dataOf(form), secrets)
  const userId = kind === 'robot' ? undefined : optionalText(authOf(form).user_id, /^\d{1,20}$/)
  const seconds = Number(form.ts)
  const happenedAt = seconds > 0 && seconds < 1e11 ? Math.round(seconds * 1000) : undefined
  // Robots and message providers belong to an application, also when nothing in the form says to which.
  const owned = kind === 'robot' || kind === 'message' ? from.onlyClientId : undefined
  const application = from.clientId ?? owned
  return {
    kind,
    memberId: from.memberId,
    domain: from.domain,
    ...(application === undefined ? {} : { application }),
    event,
    data,
    ...(userId === undefined ? {} : { userId }),
    ...(happenedAt === undefined ? {} : { happenedAt }),
    receivedAt: rest.receivedAt,
    key: sha256(identityOf({ form, from, kind, event, ...rest }, data)),
    ...(rest.withRaw ? { raw: stripTokens(form, secrets) } : {}),
  }
}

/** What is the same for the same happening however often it is posted, and different for any other. */
function identityOf({ kind, event, form, from, newId }: Happening, data: JsonObject): Json {
  const { memberId, clientId = '' } = from
  if (kind === 'robot') return [memberId, kind, textOf(form.event_token)]
  if (kind === 'message') return [memberId, kind, clientId, event, textOf(form.message_id)]
  const ts = textOf(form.ts)
  // Portals do not repeat requests: two that look the same and have no time are two.
  return [memberId, event, textOf(form.event_handler_id), clientId, ts === '' ? newId() : ts, data]
}

/** What the portal says: `data` of an event; everything but who and when of other forms. */
function dataOf(form: JsonObject): JsonObject {
  if (form.event === undefined) {
    const { ts: _, ...data } = form
    return data
  }
  const { data } = form
  if (data === undefined || data === '') return {}
  return isJsonObject(data) ? data : { value: data }
}

/** Text that is the same whatever the order of members. */
function canonical(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (!isJsonObject(value)) return JSON.stringify(value)
  const members = Object.keys(value).sort()
  return `{${members.map((key) => `${JSON.stringify(key)}:${canonical(value[key] as Json)}`).join(',')}}`
}

function sha256(value: Json): string {
  return createHash('sha256').update(canonical(value)).digest('hex')
}

function authOf({ auth }: JsonObject): JsonObject {
  return isJsonObject(auth) ? auth : {}
}

/** A text that is there and can be what it claims to be. */
function optionalText(value: Json | undefined, shape: RegExp): string | undefined {
  if (value === undefined || value === '') return undefined
  if (typeof value !== 'string' || !shape.test(value)) throw refuseEvent('FORM_INVALID')
  return value
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : ''
}
