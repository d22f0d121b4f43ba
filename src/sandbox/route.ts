import { BX24_SCRIPT } from './apps/bx24-script.ts'
import { deepLink } from './apps/deep-links.ts'
import { pullFromDesk } from './apps/desk.ts'
import { applicationPage, type PageParts } from './apps/pages.ts'
import { type Controls, control } from './control.ts'
import { type Ending, ended, underFaults } from './endings.ts'
import type { FaultScript } from './faults.ts'
import { handle } from './handle.ts'
import type { Incoming } from './listener.ts'
import { answerAppInfo } from './oauth/app-info.ts'
import { answerAuthorize } from './oauth/authorize.ts'
import { answerToken } from './oauth/token-endpoint.ts'
import type { Portal } from './portal.ts'
import { homeOf, type Portals } from './portals.ts'
import {
  connectPolling,
  connectSocket,
  POLLING_PATH,
  refuseUpgrade,
  SOCKET_PATH,
  type Upgrade,
} from './push/connect.ts'
import { parseRequest } from './request.ts'
import { type HttpAnswer, htmlAnswer, plainAnswer } from './respond.ts'
import type { NodeLists } from './sender-nodes.ts'

/** What requests are answered from. */
export interface Parts extends PageParts {
  readonly portals: Portals
  readonly faults: FaultScript
  readonly nodes: NodeLists
  readonly controls: Controls
}

/** Answers a request at the portals' port. */
export function routePortal(parts: Parts, incoming: Incoming): Ending | Promise<Ending> {
  const { path, query, host, target } = incoming
  if (path === '/__sandbox/bx24.js') return ended(script(BX24_SCRIPT))
  if (path.startsWith('/__sandbox/')) {
    return control(parts.controls, path, query, host, incoming.body.toString()).then((answer) =>
      ended(answer),
    )
  }
  if (path.startsWith('/webhook/')) return ended(nodeList(parts.nodes, path))
  if (parts.authority.shared && isTokenPath(path)) return token(parts, incoming)
  const destination = parts.portals.at(host)
  if ('movedTo' in destination)
    return ended(htmlAnswer(302, movedLocation(destination.movedTo, host, incoming.secure, target)))
  const { portal } = destination
  // A frame and its portal recognise each other by the portal's one address.
  if (/^\/(?:apps|oauth|marketplace)\//.test(path) && /^localhost(?::|$)/i.test(host))
    return ended(htmlAnswer(302, `${portal.url}${target}`))
  if (/^\/oauth\/authorize\/?$/.test(path))
    return ended(answerAuthorize(parts.authority, portal, paramsOf(incoming)))
  if (path === '/apps/trigger')
    return pullFromDesk(parts, portal, incoming.body.toString()).then((answer) => ended(answer))
  if (path.startsWith('/apps/'))
    return ended(applicationPage(parts, portal, { path, query, body: incoming.body.toString() }))
  const link = deepLink(portal, path, query)
  if (link !== undefined)
    return ended(
      applicationPage(parts, portal, { path: '/apps/open', query: link.toString(), body: '', uri: target }),
    )
  if (path === POLLING_PATH && incoming.method === 'GET')
    return { kind: 'held', by: (response) => connectPolling(portal.push, query, response) }
  if (isForAuthority(parts, portal, incoming)) return appInfo(parts, incoming)
  if (incoming.method === 'OPTIONS') return ended({ status: 200, contentType: 'text/html', text: '' })
  return handle(portal, parts.faults, incoming)
}

/** Makes a WebSocket of a request, at the push server's addresses. */
export function routeUpgrade({ portals }: Parts, upgrade: Upgrade): void {
  const path = (upgrade.request.url ?? '').replace(/\?.*$/, '').replace(/\/{2,}/g, '/')
  if (path !== SOCKET_PATH && path !== POLLING_PATH) {
    refuseUpgrade(upgrade.socket, 404, '')
    return
  }
  connectSocket(portals.find(upgrade.request.headers.host).push, upgrade)
}

/** Answers a request at the authorization server's own port. */
export function routeAuthority(parts: Parts, incoming: Incoming): Ending {
  if (isTokenPath(incoming.path)) return token(parts, incoming)
  if (isAppInfoPath(incoming.path)) return appInfo(parts, incoming)
  return ended(htmlAnswer(404))
}

function nodeList(nodes: NodeLists, path: string): HttpAnswer {
  const file = nodes.file(path)
  return file === undefined ? htmlAnswer(404) : plainAnswer(file)
}

function token(parts: Parts, incoming: Incoming): Ending {
  return underFaults(parts.faults, parts.authority.settings, 'oauth.token', () =>
    answerToken(parts.authority, paramsOf(incoming)),
  )
}

function appInfo(parts: Parts, incoming: Incoming): Ending {
  return underFaults(parts.faults, parts.authority.settings, 'oauth.app.info', () =>
    answerAppInfo(parts.authority, incoming.path, incoming),
  )
}

function isTokenPath(path: string): boolean {
  return /^\/oauth\/token\/?$/.test(path)
}

function isAppInfoPath(path: string): boolean {
  return /^\/rest\/app\.info(?:\.json|\.xml)?\/?$/i.test(path)
}

/** At a shared address `app.info` is the portal's, but for tokens of other portals it is the authorization server's. */
function isForAuthority({ authority }: Parts, portal: Portal, incoming: Incoming): boolean {
  if (!authority.shared || portal.name !== homeOf(authority.settings.host) || !isAppInfoPath(incoming.path))
    return false
  const address = { method: 'app.info', format: 'json' } as const
  const pair = authority.grants.byAccess(parseRequest(address, incoming).proof.token ?? '')
  return pair !== undefined && pair.grant.installation.portal !== portal
}

/** Query and form together; the form wins. Other bodies are not read. */
function paramsOf({ query, contentType, body }: Incoming): URLSearchParams {
  const params = new URLSearchParams(query)
  if (!contentType.startsWith('application/x-www-form-urlencoded')) return params
  for (const [name, value] of new URLSearchParams(body.toString())) params.set(name, value)
  return params
}

/** https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html */
function movedLocation(movedTo: string, host: string, secure: boolean, target: string): string {
  const port = /:\d+$/.exec(host)?.[0] ?? ''
  const newHost = /:\d+$/.test(movedTo) ? movedTo : `${movedTo}${port}`
  return `${secure ? 'https' : 'http'}://${newHost}${target}`
}

function script(text: string): HttpAnswer {
  return { status: 200, contentType: 'text/javascript; charset=utf-8', text }
}
