import { AuthError, type BridgeError, RestError, StoreError, TransportError } from '../../model/errors.ts'
import { maskSecrets } from '../../model/webhook.ts'

/** Why tokens cannot be renewed, and what it means. */
export interface Reason {
  /** Code and sentence, for people; holds no secret. */
  readonly text: string
  /** The refresh token itself was refused: nothing but a new authorization helps. */
  readonly lost: boolean
  /** After this long it may be tried again by itself. */
  readonly nextTryMs?: number
}

const MINUTE_MS = 60_000

/** https://apidocs.bitrix24.com/settings/oauth/error-codes.html */
const KNOWN: Readonly<Record<string, { readonly nextTryMs?: number; readonly hint: string }>> = {
  invalid_grant: {
    hint: 'Somebody must open the application on the portal once more, or authorize it again.',
  },
  no_refresh_token: { hint: 'Authorize the application again; only an access token was stored.' },
  wrong_client: {
    nextTryMs: 10 * MINUTE_MS,
    hint: 'The application id and secret do not belong together; set them again.',
  },
  invalid_client: {
    nextTryMs: 10 * MINUTE_MS,
    hint: 'The authorization server does not know this application, or it is not installed.',
  },
  application_unknown: {
    nextTryMs: MINUTE_MS,
    hint: 'Add the application with its id and secret: `b24-bridge apps add`.',
  },
  server_not_allowed: {
    nextTryMs: MINUTE_MS,
    hint: 'Name the authorization server of this self-hosted portal in BRIDGE_OAUTH_SERVERS.',
  },
  payment_required: {
    nextTryMs: 60 * MINUTE_MS,
    hint: 'The subscription of the portal or the application has ended; renew it.',
  },
  not_installed: { hint: 'The application is not installed on this portal any more; install it again.' },
}

/** What a refusal of the authorization server means; `undefined` for trouble that passes by itself. */
export function reasonOf(error: unknown): Reason | undefined {
  if (!(error instanceof RestError)) return undefined
  if (error.status >= 500 || error.status === 429) return undefined
  const code = error.code.toLowerCase()
  const text = maskSecrets([error.code, error.description].filter((part) => part !== '').join(': '))
  const nextTryMs = Object.hasOwn(KNOWN, code) ? KNOWN[code]?.nextTryMs : 10 * MINUTE_MS
  return {
    text: text.slice(0, 200),
    lost: code === 'invalid_grant',
    ...(nextTryMs === undefined ? {} : { nextTryMs }),
  }
}

/** What to do about a portal or tokens that stopped for this reason. */
export function hintOf(reason: string | undefined): string {
  const code = (reason ?? '').split(':')[0]?.toLowerCase() ?? ''
  if (Object.hasOwn(KNOWN, code)) return KNOWN[code]?.hint as string
  return 'Look the reason up with `b24-bridge portals show`, mend it, and authorize the application again.'
}

/** A refusal found on our side. */
export function refusal(code: 'no_refresh_token' | 'application_unknown', description: string): RestError {
  return new RestError(code, description, 403)
}

/** The error of calls in the name of tokens that nobody may use any more. */
export function stopped(
  code: 'PORTAL_SUSPENDED' | 'TOKENS_DEAD' | 'TOKENS_MISSING',
  reason: string | undefined,
  domain: string,
): AuthError {
  const sentence = {
    PORTAL_SUSPENDED: `the portal ${domain} is suspended`,
    TOKENS_DEAD: `this user of the application is not known to the portal ${domain} any more`,
    TOKENS_MISSING: `the tokens for the portal ${domain} have been removed`,
  }[code]
  const description = reason === undefined ? sentence : `${sentence}: ${reason}`
  return new AuthError(code, description, 403, { hint: hintOf(reason) })
}

/** Trouble of ours while the call waits: the call itself has surely not been made, whatever became of the renewal. */
export function notSent(error: unknown): BridgeError {
  if (error instanceof TransportError) {
    return error.sent === false ? error : unsent(error.code, error.message, error)
  }
  if (error instanceof StoreError) {
    return unsent('TOKENS_UNAVAILABLE', 'The stored tokens cannot be read or written now', error)
  }
  if (error instanceof RestError && reasonOf(error) === undefined) {
    return unsent('AUTH_SERVER_UNREACHABLE', 'The authorization server cannot give tokens now', error)
  }
  if (error instanceof RestError) return error
  return unsent('TOKENS_NOT_RENEWED', 'The tokens could not be renewed', error)
}

/** Another process is at it and does not come to an end. */
export function stillRenewing(): TransportError {
  return unsent('TOKENS_BEING_RENEWED', 'Another process is renewing the tokens', undefined)
}

function unsent(code: string, message: string, cause: unknown): TransportError {
  return new TransportError(code, message, { sent: false, cause })
}
