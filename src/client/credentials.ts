import type { Authorization, Credential } from '../model/credential.ts'
import { AuthError, type BridgeError, CommandError, TransportError } from '../model/errors.ts'
import {
  type ApplicationSecret,
  type AuthorizationServerOptions,
  createAuthorizationServer,
  type TokenGrant,
} from './oauth.ts'

/** The tokens to begin with: from an installation, or as `onTokens` gave them last. */
export interface StartTokens {
  readonly accessToken: string
  readonly refreshToken: string
  /** Where method calls go: `https://example.bitrix24.com/rest/`. */
  readonly clientEndpoint: string
  /** Milliseconds since 1970; without it the token is used until the portal says that it has expired. */
  readonly expiresAt?: number
  readonly userId?: string
}

export interface OAuthCredentialOptions {
  readonly application: ApplicationSecret
  readonly tokens: StartTokens
  /**
   * Keep the new pair, durably, before it is used: the old one is dead already. While it rejects, calls wait and fail
   * as not sent; the new pair is offered to it again and is not lost while the process lives.
   */
  readonly onTokens: (grant: TokenGrant) => Promise<void> | void
  /** The authorization server; the international one of the cloud unless told otherwise. */
  readonly server?: Omit<AuthorizationServerOptions, 'now'>
  readonly now?: () => number
}

/** A token with less life than this is renewed before it is used. */
const SPARE_MS = 60_000

/**
 * Calls in the name of a user of an application. The access token is used until it has a minute left or the portal
 * refuses it; then it is renewed once, however many calls wait for it. A refused refresh token ends it: every later
 * call fails with the authorization server's error until a new credential is made.
 *
 * One process must be the only one that renews a pair: the authorization server kills the old one.
 *
 * https://apidocs.bitrix24.com/settings/oauth/auto-renewal.html
 */
export function createOAuthCredential(options: OAuthCredentialOptions): Credential {
  const now = options.now ?? Date.now
  const endpoint = readEndpoint(options.tokens.clientEndpoint)
  const server = createAuthorizationServer({ ...options.server, now })
  const { clientId } = options.application
  let { accessToken, refreshToken } = options.tokens
  let expiresAt = options.tokens.expiresAt ?? Number.POSITIVE_INFINITY
  let unkept: TokenGrant | undefined
  let dead: BridgeError | undefined
  let renewing: Promise<void> | undefined

  async function obtain(): Promise<void> {
    if (dead !== undefined) throw dead
    try {
      // A pair that could not be kept the last time comes first: the server would not give it again.
      unkept ??= await server.refresh(options.application, refreshToken)
      refreshToken = unkept.refreshToken
    } catch (error) {
      if (error instanceof AuthError) dead = error
      throw error instanceof TransportError ? notSent(error.code, error.message, error) : error
    }
    const grant = unkept
    try {
      await options.onTokens(grant)
    } catch (error) {
      throw notSent('TOKENS_NOT_KEPT', 'The new tokens could not be kept, so they are not used yet', error)
    }
    unkept = undefined
    accessToken = grant.accessToken
    expiresAt = grant.expiresAt
  }

  function renewOnce(): Promise<void> {
    renewing ??= obtain().finally(() => {
      renewing = undefined
    })
    return renewing
  }

  return {
    origin: endpoint.origin,
    domain: endpoint.host.toLowerCase(),
    key: `${clientId} ${options.tokens.userId ?? ''} ${endpoint.host}`,
    async authorize(): Promise<Authorization> {
      if (dead !== undefined) throw dead
      if (expiresAt - now() < SPARE_MS || unkept !== undefined) await renewOnce()
      return { base: endpoint.pathname, params: { auth: accessToken } }
    },
    async renew(expired) {
      // Another request has renewed it while this one was under way.
      if (expired.params.auth === accessToken) await renewOnce()
      return true
    },
  }
}

function readEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || !url.pathname.endsWith('/rest/')) {
    throw new CommandError('ENDPOINT_INVALID', 'The client endpoint is not the REST address of a portal', {
      hint: 'It looks like https://example.bitrix24.com/rest/ and comes with the tokens.',
    })
  }
  return url
}

/** The call itself has surely not been made, whatever became of the renewal. */
function notSent(code: string, message: string, cause: unknown): TransportError {
  return new TransportError(code, message, { sent: false, cause })
}
