import { isJsonObject } from '../../model/json.ts'
import { errorPage, escapeHtml, hiddenFields, page } from '../html.ts'
import { ACCESS_SECONDS } from '../oauth/grants.ts'
import type { Portal } from '../portal.ts'
import { type HttpAnswer, htmlAnswer, plainAnswer } from '../respond.ts'
import { deskPage } from './desk.ts'
import type { EventParts } from './events.ts'
import { type FrameSession, type FrameSessions, MAIN_PAGE, type Placement } from './frame.ts'
import type { Installation } from './installations.ts'
import { finish, install } from './life-cycle.ts'
import { placeButtons } from './place-buttons.ts'
import { placeAt } from './places.ts'
import { PORTAL_SCRIPT } from './portal-script.ts'

/** What the pages need of the sandbox. */
export interface PageParts extends EventParts {
  readonly frames: FrameSessions
}

/** A request for one of the portal's own pages. */
export interface PageRequest {
  readonly path: string
  readonly query: string
  readonly body: string
  /** What the browser shows as the address, where that is another. */
  readonly uri?: string
}

/**
 * The pages on which a portal shows applications. `user` in the query opens them as another user than 1.
 *
 * | request | does |
 * | --- | --- |
 * | `GET /apps/install?client_id=` | puts the application on the portal and opens its installer or its page |
 * | `GET /apps/open?client_id=[&placement=&options=&handler=&guest=1]` | opens its page; the installer while installing goes on |
 * | `GET /apps/desk?client_id=` | what it has registered, with a button for each |
 * | `POST /apps/session` | what the page's script asks on behalf of the frame |
 */
export function applicationPage(parts: PageParts, portal: Portal, request: PageRequest): HttpAnswer {
  const asked = new URLSearchParams(request.query)
  if (request.path === '/apps/session') return answerFrame(parts, portal, request.body)
  const application = parts.authority.applications.find(asked.get('client_id') ?? '')
  const userId = Number(asked.get('user') ?? 1)
  if (application === undefined) return errorPage('Nobody knows this application.', 404)
  if (portal.data.user.get(userId) === undefined) return errorPage('The portal has no such user.', 404)
  if (request.path === '/apps/install') {
    void install(parts, portal, application, userId)
  } else if (!['/apps/open', '/apps/desk'].includes(request.path)) {
    return htmlAnswer(404)
  }
  const installation = portal.installations.find(application.clientId)
  if (installation === undefined) return errorPage('The application is not installed on this portal.', 404)
  if (request.path === '/apps/desk') return deskPage(portal, installation)
  const uri = request.uri ?? `${request.path}?${request.query}`
  const placement = placementOf(asked, installation, uri)
  const guest = asked.get('guest') === '1'
  const session = parts.frames.open(parts.authority, installation, { userId, placement, guest })
  return session === undefined || !application.hasUi
    ? page(application.title, '<p id="state">Installed. The application has no pages.</p>')
    : framePage(session)
}

/**
 * Options that are no JSON are passed on as they are: some real pages send the text `undefined`. At a place that the
 * application has bound they name the page of the portal too.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/index.html
 */
function placementOf(asked: URLSearchParams, installation: Installation, uri: string): Placement {
  const code = asked.get('placement')
  if (code === null) return MAIN_PAGE
  const handler = asked.get('handler') ?? undefined
  const given = asked.get('options') ?? '[]'
  const options = parsed(given)
  const isBound = placeAt(installation, code, handler) !== undefined
  const isNamed = isJsonObject(options) || (Array.isArray(options) && options.length === 0)
  return {
    code,
    options: isBound && isNamed ? JSON.stringify({ ...options, URI: uri }) : given,
    ...(handler !== undefined && { handler }),
  }
}

function framePage(session: FrameSession): HttpAnswer {
  const { installation, form, sid, installing } = session
  const { portal, application } = installation
  const name = `${portal.domain}|${portal.url.startsWith('https:') ? 1 : 0}|${sid}`
  const state = installing ? 'The application is being installed.' : 'The application is installed.'
  return page(
    application.title,
    `<p id="state">${state}</p>
<form id="open" method="post" action="${escapeHtml(form.action)}" target="${escapeHtml(name)}"
 data-sid="${sid}" data-client-id="${escapeHtml(application.clientId)}">
${hiddenFields(form.fields)}
</form>
<iframe name="${escapeHtml(name)}" title="${escapeHtml(application.title)}"
 allow="geolocation *; microphone *; camera *; autoplay *"></iframe>
${placeButtons(installation)}
<script>${PORTAL_SCRIPT}</script>`,
  )
}

function answerFrame(parts: PageParts, portal: Portal, body: string): HttpAnswer {
  const asked = parsed(body)
  if (!isJsonObject(asked)) return plainAnswer({ error: 'BAD_BODY' }, 400)
  const session = parts.frames.find(String(asked.sid))
  if (session === undefined || session.installation.portal !== portal)
    return plainAnswer({ error: 'NO_SESSION' }, 404)
  if (asked.do === 'getInitData') return plainAnswer(initData(session))
  if (asked.do === 'refreshAuth') return plainAnswer(refreshed(parts, session))
  if (asked.do === 'setValue' && session.placement.code === 'USERFIELD_TYPE') {
    portal.fieldValues.take(session, asked.params ?? null)
    return plainAnswer(true)
  }
  if (asked.do === 'setInstallFinish') {
    void finish(parts, session.installation)
    return plainAnswer(true)
  }
  return plainAnswer({})
}

/** A page gets a new chain: its old tokens may be in use by the application's server. */
function refreshed({ authority }: PageParts, session: FrameSession): Record<string, unknown> {
  session.pair = authority.grants.start(session.pair.grant, authority.now())
  return tokensOf(session)
}

function initData(session: FrameSession): Record<string, unknown> {
  const { installation, userId, placement } = session
  const { portal } = installation
  return {
    LANG: 'en',
    DOMAIN: portal.domain,
    PROTOCOL: portal.url.startsWith('https:') ? '1' : '0',
    PATH: '/rest',
    ...tokensOf(session),
    MEMBER_ID: portal.memberId,
    IS_ADMIN: userId === 1,
    APP_OPTIONS: {},
    USER_OPTIONS: {},
    PLACEMENT: placement.code,
    PLACEMENT_OPTIONS: parsed(placement.options),
    INSTALL: !installation.installed,
    FIRST_RUN: false,
  }
}

function tokensOf({ pair }: FrameSession): Record<string, unknown> {
  return { AUTH_ID: pair.access, REFRESH_ID: pair.refresh, AUTH_EXPIRES: String(ACCESS_SECONDS) }
}

/** The JSON value, or the text as it is. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
