import { createHmac } from 'node:crypto'
import type { JsonObject } from '../../model/json.ts'
import type { PageContext } from './pages.ts'

/** A page is looked at for longer, but what it was told is asked for soon. */
const LIFE_SECONDS = 15 * 60

/**
 * What a page is told, signed, so that the program behind it need not believe the browser: a JSON Web Token with HS256
 * under the secret of the settings, which any library for such tokens can read. Cookies are not used: browsers withhold
 * them from frames of other sites.
 *
 * https://www.rfc-editor.org/rfc/rfc7519
 */
export function signContext(context: PageContext, secret: string, now: number): string {
  const seconds = Math.floor(now / 1000)
  const claims = {
    iss: 'bitrix24-bridge',
    iat: seconds,
    exp: seconds + LIFE_SECONDS,
    ...contextJson(context),
  }
  const signed = `${encoded({ alg: 'HS256', typ: 'JWT' })}.${encoded(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** The context as programs see it. */
export function contextJson(context: PageContext): JsonObject {
  return {
    page: context.page,
    portal: context.domain,
    member_id: context.memberId,
    application: context.clientId,
    user_id: context.userId ?? null,
    is_admin: context.isAdmin,
    placement: context.placement,
    options: context.options,
    language: context.language ?? null,
  }
}

function encoded(value: JsonObject): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
