import type { Installation } from '../apps/installations.ts'
import { errorPage, escapeHtml, hiddenFields, page } from '../html.ts'
import type { Portal } from '../portal.ts'
import { type HttpAnswer, htmlAnswer } from '../respond.ts'
import type { Row } from '../table.ts'
import type { Authority } from './authority.ts'

/** How many users the page offers. */
const OFFERED_USERS = 50

/**
 * Answers `/oauth/authorize/` of a portal. GET shows a page that asks who is there and whether the application may go
 * on; with `auto=1`, or by a switch, it agrees at once for `user`, or user 1. Yes redirects to the address that the
 * application's card names, never to one in the request. Whatever is wrong is shown to the user; there is no
 * redirect with an error.
 *
 * https://apidocs.bitrix24.com/settings/oauth/index.html
 */
export function answerAuthorize(authority: Authority, portal: Portal, params: URLSearchParams): HttpAnswer {
  const application = authority.applications.find(params.get('client_id') ?? '')
  if (application === undefined) return errorPage('Nobody knows this application.')
  const installation = portal.installations.find(application.clientId)
  if (installation === undefined) return errorPage('The application is not installed on this portal.')
  if (application.redirectUri === undefined) return errorPage('The application has no address to return to.')
  const answer = params.get('answer')
  if (answer === 'no') return errorPage('Access was refused.', 403)
  const agreed = answer === 'yes' || params.get('auto') === '1' || authority.settings.switches.autoConsent
  if (!agreed) return question(installation, params.get('state'))
  const userId = Number(params.get('user') ?? 1)
  if (portal.data.user.get(userId) === undefined) return errorPage('The portal has no such user.')
  return htmlAnswer(302, returnAddress(authority, { installation, userId }, params.get('state')))
}

function returnAddress(
  authority: Authority,
  grant: { readonly installation: Installation; readonly userId: number },
  state: string | null,
): string {
  const { installation } = grant
  const { portal, application } = installation
  const url = new URL(application.redirectUri ?? '')
  url.searchParams.set('code', authority.issueCode(grant))
  if (state !== null) url.searchParams.set('state', state)
  url.searchParams.set('domain', portal.domain)
  url.searchParams.set('member_id', portal.memberId)
  url.searchParams.set('scope', [...installation.scopes].join(','))
  url.searchParams.set('server_domain', authority.domain)
  return url.href
}

function question({ portal, application }: Installation, state: string | null): HttpAnswer {
  const users = Array.from({ length: OFFERED_USERS }, (_, index) => {
    const user = portal.data.user.get(index + 1)
    return user === undefined ? '' : `<option value="${user.ID}">${escapeHtml(nameOf(user))}</option>`
  })
  const fields = { client_id: application.clientId, ...(state === null ? {} : { state }) }
  return page(
    'Sign in',
    `<form method="post" action="/oauth/authorize/">
${hiddenFields(fields)}
<p><label>User <select name="user">${users.join('')}</select></label></p>
<p>Let ${escapeHtml(application.title)} work with ${escapeHtml(portal.domain)} on your behalf?</p>
<p><button name="answer" value="yes">Allow</button> <button name="answer" value="no">Refuse</button></p>
</form>`,
  )
}

function nameOf(user: Row): string {
  return `${user.ID}: ${user.NAME ?? ''} ${user.LAST_NAME ?? ''}`
}
