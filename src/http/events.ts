import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { EVENTS_PATH } from '../bridge/events/handler-url.ts'
import type { EventIntake } from '../bridge/events/intake.ts'
import { refuseEvent } from '../bridge/events/refusals.ts'
import { CommandError } from '../model/errors.ts'
import { formError, formOf, type InstallRoutes, takeForms } from './install.ts'
import { problemOf } from './problems.ts'
import { createSenderOf } from './sender.ts'

/** What the route of events works with. */
export interface EventRoutes {
  readonly intake: EventIntake
  /** Bytes of a form at most. */
  readonly maxFormBytes: number
  /** Proxies in front of us, by address or network; none unless given. */
  readonly trustedProxies?: readonly string[]
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** What the server does with errors otherwise. */
  readonly refuse: InstallRoutes['refuse']
}

/**
 * `POST /b24/app-events`: events of an application's own life; see `docs/connecting.md`. Always answers with JSON. While
 * the bridge drains, they are taken to the last moment: portals do not repeat them.
 */
export function addLifeCycleRoute(server: FastifyInstance, routes: InstallRoutes): void {
  void server.register(async (scope) => {
    takeForms(scope)
    scope.setErrorHandler((error, request, reply) => routes.refuse(formError(error), request, reply))
    scope.post('/b24/app-events', async (request) => {
      await routes.installs.takeEvent(formOf(request))
      return { status: 'ok' }
    })
  })
}

/** What Bitrix24's documentation answers to a forged event. https://apidocs.bitrix24.com/settings/cloud-and-on-premise/security-recommendations.html */
const FORGED = { status: 'error', error: 'invalid_application_token' }
const ABOUT = 'bitrix24-bridge: portals post their events to this address.\n'

/**
 * `POST /b24/events`: everything that portals post when something happened; see `docs/events.md`. While the bridge
 * drains, events are taken to the last moment: portals do not repeat them. `GET` says what this is, for people and for
 * portals that look whether a handler can be reached.
 */
export function addEventRoute(server: FastifyInstance, routes: EventRoutes): void {
  const { intake, maxFormBytes, now, refuse } = routes
  const senderOf = createSenderOf(routes.trustedProxies ?? [])
  void server.register(async (scope) => {
    const options = { parseAs: 'string', bodyLimit: maxFormBytes } as const
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('application/x-www-form-urlencoded', options, (_request, body, done) =>
      done(null, body),
    )
    scope.setErrorHandler((error, request, reply) => {
      const mended = eventError(error)
      if (!(mended instanceof CommandError)) return refuse(mended, request, reply)
      // The intake has counted and logged it: ten thousand refusals are one line.
      const { status, headers: more, body } = problemOf(mended)
      return reply
        .code(status)
        .headers(more)
        .send(mended.code === 'NOT_VERIFIED' ? FORGED : body)
    })
    scope.get(EVENTS_PATH, async (_request, reply) => reply.type('text/plain; charset=utf-8').send(ABOUT))
    const times = new WeakMap<FastifyRequest, number>()
    scope.addHook('onRequest', async (request) => {
      times.set(request, now())
    })
    scope.post(EVENTS_PATH, async (request: FastifyRequest, reply: FastifyReply) => {
      const { body, url, headers } = request
      if (typeof body !== 'string' || !isPlain(headers)) throw refuseEvent('FORM_TYPE')
      const mark = url.indexOf('?')
      await intake.take({
        body,
        query: mark < 0 ? '' : url.slice(mark + 1),
        receivedAt: times.get(request) ?? now(),
        address: senderOf(request.socket.remoteAddress ?? '', forwardedFor(headers)),
      })
      return reply.type('application/json; charset=utf-8').send('{"status":"ok"}')
    })
  })
}

function forwardedFor(headers: FastifyRequest['headers']): string | undefined {
  const value = headers['x-forwarded-for']
  return Array.isArray(value) ? value.join(',') : value
}

/** Not compressed, and not in an alphabet of its own. */
function isPlain(headers: FastifyRequest['headers']): boolean {
  const charset = /charset="?([^\s;"]+)/i.exec(headers['content-type'] ?? '')?.[1]?.toLowerCase() ?? 'utf-8'
  const encoding = headers['content-encoding'] ?? 'identity'
  return encoding === 'identity' && (charset === 'utf-8' || charset === 'utf8' || charset === 'us-ascii')
}

/** Faults of the framework in words that fit an event. */
function eventError(error: unknown): unknown {
  const { code } = (error ?? {}) as { code?: unknown }
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return refuseEvent('FORM_TOO_LARGE')
  return code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE' ? refuseEvent('FORM_TYPE') : error
}
