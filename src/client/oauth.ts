import { Agent, request } from 'undici'
import { AuthError, type BridgeError, RestError, TransportError } from '../model/errors.ts'
import { isJsonObject, type JsonObject } from '../model/json.ts'
import { trusting } from './authorities.ts'

/** A pair of tokens as the authorization server gives it, with what it says about the installation. */
export interface TokenGrant {
  readonly accessToken: string
  /** New at every renewal; the one that was used is dead from then on. */
  readonly refreshToken: string
  /** Milliseconds since 1970 on our clock. */
  readonly expiresAt: number
  readonly scope: readonly string[]
  /** Where method calls go: `https://example.bitrix24.com/rest/`. */
  readonly clientEndpoint: string
  readonly serverEndpoint: string
  /** The portal's permanent id. */
  readonly memberId: string
  /** Status letter of the application: L, F, D, T, P or S. */
  readonly status: string
  readonly userId: string | undefined
}

/** What the authorization server says of an access token: whose it is, of which application, on which portal. */
export interface TokenInfo extends Omit<TokenGrant, 'accessToken' | 'refreshToken' | 'expiresAt'> {
  readonly clientId: string
  readonly version: string | undefined
}

/** An application's name and secret at the authorization server. */
export interface ApplicationSecret {
  readonly clientId: string
  readonly clientSecret: string
}

/** The authorization server: not the portal, a host of its own. */
export interface AuthorizationServer {
  /**
   * A new pair for a refresh token. The old pair is dead as soon as the server has answered, so keep the new one
   * before anything else. Never ask twice at once with the same token.
   *
   * Rejects with an `AuthError` (`invalid_grant`, `wrong_client`, `PAYMENT_REQUIRED` and the like: no use in
   * repeating) or a `TransportError`; `sent: 'maybe'` means that the token may have been used up.
   */
  refresh(application: ApplicationSecret, refreshToken: string): Promise<TokenGrant>
  /** The pair for a code of the consent page; a code lives 30 seconds and works once. Rejects as `refresh`. */
  exchange(application: ApplicationSecret, code: string): Promise<TokenGrant>
  /**
   * Whose access token this is. The one answer about it that can be believed: what browsers and events bring along with
   * a token is hearsay. Rejects with an `AuthError` when the token is not alive. Changes nothing.
   */
  appInfo(accessToken: string): Promise<TokenInfo>
}

/** Servers of Bitrix24's cloud. https://apidocs.bitrix24.com/settings/oauth/index.html */
const CLOUD_SERVERS = ['https://oauth.bitrix.info', 'https://oauth.bitrix24.tech']

export interface AuthorizationServerOptions {
  /** `https://oauth.bitrix.info` unless told otherwise; any other than the cloud's must be in `allowed`. */
  readonly origin?: string
  /** Origins that the operator trusts besides the cloud's: the servers of self-hosted portals. */
  readonly allowed?: readonly string[]
  readonly timeoutMs?: number
  /** Certificates (PEM) to trust besides the usual ones, for a server with a self-made one. */
  readonly ca?: string
  readonly now: () => number
}

/**
 * The authorization server at an origin. Does no I/O; throws a `RestError` `SERVER_NOT_ALLOWED` for an origin that
 * nobody allowed, because secrets are sent there and addresses come from what portals and browsers post.
 */
export function createAuthorizationServer(options: AuthorizationServerOptions): AuthorizationServer {
  const origin = trustedServer(options.origin ?? (CLOUD_SERVERS[0] as string), options.allowed)
  if (origin === undefined) {
    throw new RestError('SERVER_NOT_ALLOWED', 'the authorization server is not one of those allowed', 403, {
      hint: 'For a self-hosted portal the operator allows its server by setting.',
    })
  }
  const agent = options.ca === undefined ? undefined : new Agent({ connect: trusting(options.ca) })
  const post = (url: string, form: Record<string, string>): Promise<JsonObject> =>
    postForm(url, form, { timeoutMs: options.timeoutMs ?? 15_000, ...(agent && { agent }) })
  const ask = async (grant: Record<string, string>): Promise<TokenGrant> =>
    grantOf(await post(`${origin}/oauth/token/`, grant), options.now())
  return {
    refresh: ({ clientId, clientSecret }, refreshToken) =>
      ask({
        grant_type: 'refresh_token',
        client_id: clientId,
        client_secret: clientSecret,
        refresh_token: refreshToken,
      }),
    exchange: ({ clientId, clientSecret }, code) =>
      ask({ grant_type: 'authorization_code', client_id: clientId, client_secret: clientSecret, code }),
    async appInfo(accessToken) {
      const { result } = await post(`${origin}/rest/app.info`, { auth: accessToken })
      return infoOf(isJsonObject(result) ? result : {}, `${origin}/rest/`)
    },
  }
}

/**
 * The origin of an authorization server that secrets may be sent to, from its origin, endpoint or bare host;
 * `undefined` for any other. Besides the cloud's those that the operator allows.
 */
export function trustedServer(address: string, allowed: readonly string[] = []): string | undefined {
  const trusted = [...CLOUD_SERVERS, ...allowed.map(originOf).filter((origin) => origin !== undefined)]
  const origin = originOf(address)
  return address.includes('://')
    ? trusted.find((one) => one === origin)
    : trusted.find((one) => new URL(one).host === address.toLowerCase())
}

/**
 * Posts the form: secrets stay out of addresses and so out of logs. The server answers 200 with `error` in the body
 * to a wrong secret, so the body decides.
 *
 * https://apidocs.bitrix24.com/settings/oauth/index.html
 */
async function postForm(
  url: string,
  form: Record<string, string>,
  { timeoutMs, agent }: { readonly timeoutMs: number; readonly agent?: Agent },
): Promise<JsonObject> {
  let status: number
  let text: string
  try {
    const answer = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
      body: new URLSearchParams(form).toString(),
      signal: AbortSignal.timeout(timeoutMs),
      ...(agent && { dispatcher: agent }),
    })
    status = answer.statusCode
    text = await answer.body.text()
  } catch (error) {
    throw unreachable(error)
  }
  const body = parseObject(text)
  if (body === undefined) {
    throw new TransportError(
      'UNEXPECTED_ANSWER',
      `The authorization server answered HTTP ${status} without JSON`,
      {
        sent: 'maybe',
        status,
      },
    )
  }
  if ('error' in body) throw refused(body, status)
  return body
}

function grantOf(body: JsonObject, now: number): TokenGrant {
  const seconds = Number(body.expires_in ?? 3600)
  return {
    accessToken: textIn(body, 'access_token'),
    refreshToken: textIn(body, 'refresh_token'),
    expiresAt: now + (Number.isFinite(seconds) && seconds > 0 ? seconds : 3600) * 1000,
    scope: wordsIn(body.scope),
    clientEndpoint: textIn(body, 'client_endpoint'),
    serverEndpoint: typeof body.server_endpoint === 'string' ? body.server_endpoint : '',
    memberId: textIn(body, 'member_id'),
    status: typeof body.status === 'string' ? body.status : '',
    userId: idIn(body.user_id),
  }
}

/** https://apidocs.bitrix24.com/settings/oauth/simple-way.html */
function infoOf(result: JsonObject, serverEndpoint: string): TokenInfo {
  const install = isJsonObject(result.install) ? result.install : {}
  return {
    clientId: textIn(result, 'client_id'),
    scope: wordsIn(result.scope ?? install.scope),
    clientEndpoint: textIn(install, 'client_endpoint'),
    serverEndpoint,
    memberId: textIn(install, 'member_id'),
    status: typeof install.status === 'string' ? install.status : '',
    userId: idIn(result.user_id),
    version: idIn(install.version),
  }
}

function textIn(body: JsonObject, name: string): string {
  const value = body[name]
  if (typeof value === 'string' && value !== '') return value
  throw new TransportError('UNEXPECTED_ANSWER', `The authorization server's answer has no ${name}`, {
    sent: 'maybe',
  })
}

function wordsIn(value: unknown): string[] {
  return String(value ?? '')
    .split(/[\s,]+/)
    .filter((word) => word !== '')
}

function idIn(value: unknown): string | undefined {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined
}

/** https://apidocs.bitrix24.com/settings/oauth/error-codes.html */
const HINTS: Readonly<Record<string, string>> = {
  invalid_grant: 'Somebody must open the application on the portal once more, or authorize it again.',
  wrong_client: 'The application id and secret do not belong together; set them again.',
  invalid_client: 'The authorization server does not know this application, or it is not installed.',
  payment_required: 'The subscription of the portal or the application has ended.',
  not_installed: 'The application is not installed on this portal any more.',
}

function refused(body: JsonObject, status: number): BridgeError {
  const code = String(body.error)
  const description = typeof body.error_description === 'string' ? body.error_description : ''
  const hint = HINTS[code.toLowerCase()]
  return new AuthError(code, description, status === 200 ? 401 : status, hint === undefined ? {} : { hint })
}

function unreachable(error: unknown): TransportError {
  const code = String((error as { code?: unknown }).code ?? (error as Error).name)
  const unsent = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$/.test(
    code,
  )
  return new TransportError(
    'AUTH_SERVER_UNREACHABLE',
    `The authorization server cannot be reached (${code})`,
    {
      sent: unsent ? false : 'maybe',
    },
  )
}

function parseObject(text: string): JsonObject | undefined {
  try {
    const body: unknown = JSON.parse(text)
    return isJsonObject(body) ? body : undefined
  } catch {
    return undefined
  }
}

function originOf(text: string): string | undefined {
  return URL.canParse(text) ? new URL(text).origin : undefined
}
