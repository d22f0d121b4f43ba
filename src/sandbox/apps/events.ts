import { encodeForm, type FormValue } from '../form.ts'
import type { Authority } from '../oauth/authority.ts'
import type { EventHandler, Installation } from './installations.ts'
import type { Delivery, EventSender } from './sender.ts'

/** Something that happened, to be told to handlers. */
export interface Happening {
  /** In upper case. */
  readonly event: string
  readonly data: { readonly [name: string]: FormValue }
  /** Who caused it; with nobody, no tokens are sent. */
  readonly userId?: number
  /** Only some events carry one. */
  readonly withRefreshToken?: boolean
}

/** What `raise` needs of the sandbox. */
export interface EventParts {
  readonly authority: Authority
  readonly sender: EventSender
}

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
  const bound = handlers.filter(({ event, offline }) => event === happening.event && !offline)
  const counts = installation.portal.tally.events
  return Promise.all(
    bound.map(({ id, url, userId }) => {
      const caller = userId === 0 ? happening.userId : userId
      const form = encodeForm({
        event: happening.event,
        event_handler_id: id,
        data: happening.data,
        ts: Math.floor(parts.authority.now() / 1000),
        auth: authOf(parts.authority, installation, { ...happening, ...(caller && { userId: caller }) }),
      })
      return parts.sender.send({ event: happening.event, url, form }, counts)
    }),
  )
}

/** The `auth` block: with a fresh pair of tokens when a user is behind the happening, else only what identifies. */
export function authOf(
  authority: Authority,
  installation: Installation,
  { userId, withRefreshToken = false }: Pick<Happening, 'userId' | 'withRefreshToken'>,
): { readonly [name: string]: FormValue } {
  const { portal, application, applicationToken } = installation
  const place = {
    domain: portal.domain,
    server_endpoint: authority.restUrl,
    client_endpoint: portal.restUrl,
    member_id: portal.memberId,
  }
  if (userId === undefined) return { ...place, application_token: applicationToken }
  const pair = authority.grants.start({ installation, userId }, authority.now())
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
