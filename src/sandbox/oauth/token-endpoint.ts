import type { Portal } from '../portal.ts'
import { type HttpAnswer, plainAnswer } from '../respond.ts'
import type { Application } from './applications.ts'
import type { Authority } from './authority.ts'
import { type Grant, isRenewable, type Pair } from './grants.ts'

/** Thrown to answer a token request with an error. */
class TokenFault extends Error {
  readonly code: keyof typeof STATUSES

  constructor(code: keyof typeof STATUSES, description: string) {
    super(description)
    this.code = code
  }
}

/** As seen in practice; `switches.statuses` replaces any. https://apidocs.bitrix24.com/settings/oauth/error-codes.html */
const STATUSES = {
  invalid_request: 400,
  invalid_client: 400,
  wrong_client: 200,
  invalid_grant: 400,
  invalid_scope: 403,
  PAYMENT_REQUIRED: 400,
}

/** A token request on its way. The portal is known once its code or refresh token has been found. */
interface Attempt {
  readonly authority: Authority
  readonly params: URLSearchParams
  portal?: Portal
}

/**
 * Answers `/oauth/token/`. The checks stand in this order: grant type, client, secret, code or refresh token,
 * payment, scope. Only a request that passes them all uses up its refresh token; a code is used up by any try.
 *
 * https://apidocs.bitrix24.com/settings/oauth/index.html
 */
export function answerToken(authority: Authority, params: URLSearchParams): HttpAnswer {
  const attempt: Attempt = { authority, params }
  try {
    const pair = pairFor(attempt)
    note(attempt, 'ok')
    return plainAnswer(authority.answerOf(pair))
  } catch (error) {
    if (!(error instanceof TokenFault)) throw error
    note(attempt, error.code)
    const status = authority.settings.switches.statuses[error.code] ?? STATUSES[error.code]
    return plainAnswer({ error: error.code, error_description: error.message }, status)
  }
}

function note({ authority, params, portal }: Attempt, result: string): void {
  const grantType = params.get('grant_type') ?? ''
  authority.tally.note(grantType, result)
  portal?.oauthTally.note(grantType, result)
}

function pairFor(attempt: Attempt): Pair {
  const grantType = attempt.params.get('grant_type')
  if (grantType === 'authorization_code') return exchange(attempt, clientOf(attempt))
  if (grantType === 'refresh_token') return renew(attempt, clientOf(attempt))
  const text = grantType === null ? 'No "grant_type" parameter found' : 'Unsupported grant type'
  throw new TokenFault('invalid_request', text)
}

function clientOf({ authority, params }: Attempt): Application {
  const application = authority.applications.find(required(params, 'client_id'))
  if (application === undefined) throw new TokenFault('invalid_client', 'The client credentials are invalid')
  if (required(params, 'client_secret') !== application.clientSecret) {
    throw new TokenFault(authority.settings.switches.wrongSecret, 'Wrong client secret')
  }
  return application
}

function exchange(attempt: Attempt, client: Application): Pair {
  const { grants, now } = attempt.authority
  const grant = grants.takeCode(required(attempt.params, 'code'), now())
  if (grant?.installation.application !== client) {
    throw new TokenFault('invalid_grant', 'The authorization code is invalid, used or expired')
  }
  check(attempt, grant)
  return grants.start(grant, now())
}

function renew(attempt: Attempt, client: Application): Pair {
  const { grants, now } = attempt.authority
  const pair = grants.byRefresh(required(attempt.params, 'refresh_token'))
  if (pair?.grant.installation.application !== client) throw badRefreshToken()
  attempt.portal = pair.grant.installation.portal
  if (!isRenewable(pair, now())) throw badRefreshToken()
  check(attempt, pair.grant)
  return grants.renew(pair, now())
}

function badRefreshToken(): TokenFault {
  return new TokenFault('invalid_grant', 'The refresh token is invalid, used or expired')
}

function check(attempt: Attempt, { installation }: Grant): void {
  attempt.portal = installation.portal
  if (!installation.paid) throw new TokenFault('PAYMENT_REQUIRED', 'Payment required')
  const wanted = (attempt.params.get('scope') ?? '').split(/[\s,]+/).filter((scope) => scope !== '')
  if (wanted.some((scope) => !installation.scopes.has(scope))) {
    throw new TokenFault('invalid_scope', 'The requested scope exceeds that of the application')
  }
}

function required(params: URLSearchParams, name: string): string {
  const value = params.get(name)
  if (value === null || value === '') {
    throw new TokenFault('invalid_request', `No "${name}" parameter found`)
  }
  return value
}
