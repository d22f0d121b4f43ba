import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MAX_FORM_BYTES } from '../bridge/installs/forms.ts'
import type { Installed, Installs } from '../bridge/installs/installs.ts'
import { INSTALL_REFUSALS, refuseInstall } from '../bridge/installs/refusals.ts'
import { finishPage, type Page, refusedPage } from './install-page.ts'
import { problemOf } from './problems.ts'

/** What the routes of installing work with. */
export interface InstallRoutes {
  readonly installs: Installs
  /** Address of the portals's `BX24` library; that of the cloud unless set. */
  readonly bx24Script?: string
  readonly draining: () => boolean
  /** Fresh and impossible to guess. */
  readonly newId: () => string
  /** What the server does with errors otherwise: answers with JSON, and logs what is our fault. */
  readonly refuse: (error: unknown, request: FastifyRequest, reply: FastifyReply) => void
}

/** https://apidocs.bitrix24.com/sdk/bx24-js-sdk/index.html */
export const BX24_SCRIPT = '//api.bitrix24.com/api/v1/'

/**
 * `POST /install`: the installer page, and the address for events of applications without pages; see `docs/connecting.md`.
 * While the bridge drains, installations are taken to the last moment: portals do not repeat them.
 */
export function addInstallRoute(server: FastifyInstance, routes: InstallRoutes): void {
  void server.register(async (scope) => {
    takeForms(scope)
    scope.setErrorHandler(forPeople(routes))
    scope.post('/install', async (request, reply) => {
      const installed = await routes.installs.takePage({ query: queryOf(request), body: formOf(request) })
      if (installed === 'event') return reply.send({ status: 'ok' })
      return wantsJson(request)
        ? reply.send(summaryOf(installed))
        : sendPage(reply, pageOf(routes, installed))
    })
  })
}

function pageOf({ bx24Script = BX24_SCRIPT, newId }: InstallRoutes, { origin, report }: Installed): Page {
  const nonce = Buffer.from(newId()).toString('base64url')
  return finishPage({ origin, script: bx24Script, nonce, report })
}

/** An installation as programs see it. */
export function summaryOf({ memberId, domain, clientId, report }: Installed): Record<string, unknown> {
  const { isAdmin, clockOffsetMs, ...rest } = report
  const check = { ...rest, is_admin: isAdmin, clock_offset_ms: clockOffsetMs }
  return { status: 'ok', member_id: memberId, domain, client_id: clientId, check }
}

/** Makes a part of the server read forms, as text and within bounds. */
export function takeForms(scope: FastifyInstance): void {
  const options = { parseAs: 'string', bodyLimit: MAX_FORM_BYTES } as const
  scope.addContentTypeParser('application/x-www-form-urlencoded', options, (_request, body, done) =>
    done(null, body),
  )
}

/** The body of a request as the text that `takeForms` left; nothing when there was none. */
export function formOf({ body }: FastifyRequest): string {
  if (typeof body !== 'string') throw refuseInstall('FORM_INVALID')
  return body
}

/** Refusals as pages, unless a program asks. */
export function forPeople(
  routes: Pick<InstallRoutes, 'refuse'>,
): (error: unknown, request: FastifyRequest, reply: FastifyReply) => void {
  return (error, request, reply) => {
    const mended = formError(error)
    const problem = problemOf(mended)
    // What is our trouble, not the visitor's, is logged where all of it is.
    const ours = problem.status >= 500 && !(problem.body.error in INSTALL_REFUSALS)
    if (ours || wantsJson(request)) return routes.refuse(mended, request, reply)
    const page = refusedPage(problem)
    void reply
      .code(problem.status)
      .headers({ ...problem.headers, ...page.headers })
      .send(page.html)
  }
}

/** Faults of the framework in words that fit a form. */
export function formError(error: unknown): unknown {
  const { code } = (error ?? {}) as { code?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return refuseInstall('FORM_TOO_LARGE')
  return code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' ? refuseInstall('FORM_INVALID') : error
}

export function sendPage(reply: FastifyReply, { headers, html }: Page): FastifyReply {
  return reply.headers(headers).send(html)
}

export function wantsJson({ headers }: FastifyRequest): boolean {
  return headers.accept?.includes('application/json') === true
}

function queryOf({ url }: FastifyRequest): string {
  const at = url.indexOf('?')
  return at < 0 ? '' : url.slice(at + 1)
}
