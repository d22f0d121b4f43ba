import { encodeForm, type FormValue } from '../form.ts'
import type { Authority } from '../oauth/authority.ts'
import type { Portal } from '../portal.ts'
import type { EventHandler, Installation } from './installations.ts'
import type { OutgoingWebhook } from './outgoing-webhooks.ts'
import { bringsRefreshToken } from './refresh-events.ts'
import type { Delivery, EventSender } from './sender.ts'

/** Something that happened, to be told to handlers. */
export interface Happening {
  /** In upper case. */
  readonly event: string
  readonly data: { readonly [name: string]: FormValue }
  /** Who caused it; with nobody, no tokens are sent. */
  readonly userId?: number
  /** How many rounds of event and call its tokens allow; `ROUNDS` unless given. */
  readonly rounds?: number
}

/** What `raise` needs of the sandbox. */
export interface EventParts {
  readonly authority: Authority
  readonly sender: EventSender
}

/** Events that never bring tokens, whoever is behind them. */
const WITHOUT_TOKENS: readonly string[] = ['ONAPPUNINSTALL', 'ONAPPMETHODCONFIRM']

/** A token that an event brought may cause this many rounds of event, call, event. */
export const ROUNDS = 7

/**
 * Tells one application's handlers of a happening, one request each. Nothing is sent to an application that is not
 * installed to its end, or not paid for. Resolves when the last request is over.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export function raise(
  parts: EventParts,
  installation: Installation,
  handlers: readonly EventHandler[],
  happening: Happening,
): Promise<Delivery[]> {
  if (!installation.installed || !installation.paid) return Promise.resolve([])
  const { authority } = parts
  const { portal } = installation
  const always = portal.settings.switches.eventRefreshTokens === 'always'
  const withRefreshToken = always || bringsRefreshToken(happening.event)
  const bound = handlers.filter(({ event, offline }) => event === happening.event && !offline)
  return Promise.all(
    bound.map(({ id, url, userId }) => {
      const user = userId === 0 ? happening.userId : userId
      const caller = WITHOUT_TOKENS.includes(happening.event) ? undefined : user
      const who = { rounds: happening.rounds, withRefreshToken, ...(caller && { userId: caller }) }
      return post(parts, portal, { id, url }, happening, authOf(authority, installation, who))
    }),
  )
}

/** The same for an outgoing webhook, which never gets tokens. */
export function tellWebhook(
  parts: EventParts,
  portal: Portal,
  webhook: OutgoingWebhook,
  happening: Happening,
): Promise<Delivery> {
  const auth = { ...placeOf(parts.authority, portal), application_token: webhook.applicationToken }
  return post(parts, portal, webhook, happening, auth)
}

function post(
  { authority, sender }: EventParts,
  portal: Portal,
  { id, url }: { readonly id: number; readonly url: string },
  { event, data }: Happening,
  auth: { readonly [name: string]: FormValue },
): Promise<Delivery> {
  const ts = Math.floor(authority.now() / 1000)
  const form = encodeForm(
    { event, event_handler_id: id, data, ts, auth },
    portal.settings.switches.nullInEvents,
  )
  return sender.send({ event, url, form, memberId: portal.memberId }, portal.tally.events)
}

/** Whose tokens go out, and which. */
interface TokenWish {
  readonly userId?: number
  readonly withRefreshToken?: boolean
  readonly rounds?: number | undefined
}

/** The `auth` block: with a fresh pair of tokens when a user is behind the happening, else only what identifies. */
export function authOf(
  authority: Authority,
  installation: Installation,
  { userId, withRefreshToken = false, rounds = ROUNDS }: TokenWish,
): { readonly [name: string]: FormValue } {
  const { portal, application, applicationToken } = installation
  const place = placeOf(authority, portal)
  if (userId === undefined) return { ...place, application_token: applicationToken }
  const pair = authority.grants.start({ installation, userId }, authority.now(), rounds)
  const { access_token, expires_in, scope, refresh_token } = authority.answerOf(pair)
  return {
    access_token,
    expires: Math.floor(pair.expiresAtMs / 1000),
    expires_in,
    scope,
    ...place,
    status: application.status,
    user_id: userId,
    ...(withRefreshToken ? { refresh_token } : {}),
    application_token: applicationToken,
  }
}

function placeOf(authority: Authority, portal: Portal): { readonly [name: string]: string } {
  return {
    domain: portal.domain,
    server_endpoint: authority.restUrl,
    client_endpoint: portal.restUrl,
    member_id: portal.memberId,
  }
}
