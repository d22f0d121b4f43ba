import type { JsonObject } from '../../model/json.ts'
import type { Credential } from '../credentials.ts'
import { RestFault, systemFault } from '../errors.ts'
import { licenceFamily } from '../options.ts'
import { parseAddress, parseRequest, type RawRequest } from '../request.ts'
import { errorAnswer, type HttpAnswer, successAnswer } from '../respond.ts'
import { answerTime } from '../time.ts'
import type { Authority } from './authority.ts'

/**
 * What a portal says of the application that is calling.
 *
 * https://apidocs.bitrix24.com/api-reference/common/system/app-info.html
 */
export function applicationInfo({ installation }: Credential): JsonObject {
  if (installation === undefined) return {}
  const { portal, application } = installation
  const family = licenceFamily(portal.plan)
  return {
    ID: installation.id,
    CODE: application.code,
    VERSION: installation.version,
    STATUS: application.status,
    INSTALLED: installation.installed,
    PAYMENT_EXPIRED: installation.paid ? 'N' : 'Y',
    DAYS: null,
    LANGUAGE_ID: 'en',
    LICENSE: `en_${family}`,
    LICENSE_TYPE: family,
    LICENSE_FAMILY: family,
  }
}

/** What the authorization server adds: whose token it is, and of which portal. */
export function tokenInfo({ installation, userId, expiresAtMs }: Credential): JsonObject {
  if (installation === undefined) return {}
  const { portal, application, scopes } = installation
  const scope = [...scopes].join(',')
  return {
    client_id: application.clientId,
    scope,
    ...(expiresAtMs === undefined ? {} : { expires: new Date(expiresAtMs).toISOString() }),
    user_id: userId,
    install: {
      installed: installation.installed,
      version: String(installation.version),
      status: application.status,
      scope,
      domain: portal.domain,
      uri: portal.url,
      client_endpoint: portal.restUrl,
      member_id: portal.memberId,
      member_type: 'portal',
    },
  }
}

/** Answers `app.info` at the authorization server, which knows the tokens of all portals. It has no request limit. */
export function answerAppInfo(authority: Authority, path: string, raw: RawRequest): HttpAnswer {
  const address = parseAddress(path) ?? { method: 'app.info', format: 'json' as const }
  const { switches } = authority.settings
  try {
    const { token } = parseRequest(address, raw).proof
    if (token === undefined || token === '') throw systemFault('NO_AUTH_FOUND')
    const pair = authority.grants.byAccess(token)
    if (pair === undefined || pair.accessState === 'killed') throw systemFault(switches.unknownToken)
    const credential = authority.credentialOf(pair)
    const result = { ...applicationInfo(credential), ...tokenInfo(credential) }
    return successAnswer({ result }, answerTime(authority.now(), 0, switches), address.format)
  } catch (error) {
    if (!(error instanceof RestFault)) throw error
    return errorAnswer(error, switches, address.format)
  }
}
