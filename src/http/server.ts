import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { createNativeContract } from '../bridge/contracts/native.ts'
import type { DeadLetters } from '../bridge/dead/letters.ts'
import type { OfflineErrors } from '../bridge/events/offline/errors.ts'
import type { Installs } from '../bridge/installs/installs.ts'
import { ConfigError } from '../model/errors.ts'
import { maskSecrets } from '../model/webhook.ts'
import { createCommandGuard, isAllowedHost, isAllowedOrigin, TURNED_AWAY } from './access.ts'
import { addAdminRoutes } from './admin.ts'
import { addCommandRoutes, type CommandDoor } from './commands.ts'
import { addDeadRoutes } from './dead.ts'
import { addEventRoute, addLifeCycleRoute, type EventRoutes } from './events.ts'
import { addHealthRoutes, type HealthReport, PROBES } from './health.ts'
import { addInstallRoute } from './install.ts'
import type { Metrics } from './metrics.ts'
import { addOauthRoutes } from './oauth.ts'
import { addOfflineRoutes } from './offline.ts'
import { addPlacementRoutes, type PlacementRoutes } from './placements.ts'
import { problemOf, refusal } from './problems.ts'
import { createRuns } from './runs.ts'

export type { CommandDoor } from './commands.ts'
export type { HealthReport } from './health.ts'

/** What the HTTP server is made with. */
export interface HttpServerOptions {
  readonly host: string
  /** 0 takes any free one. */
  readonly port: number
  /** Needed to send commands; without one only programs on this machine may. */
  readonly adminToken?: string | undefined
  /** Host names that requests may ask for; `*` for any. */
  readonly allowedHosts: readonly string[]
  /** Hosts or origins whose web pages may read answers. */
  readonly corsHosts: readonly string[]
  /** Bytes of one command at most; 16 MiB unless set. */
  readonly maxBodyBytes?: number
  /** Commands that callers may wait for at once; 1000 unless set. */
  readonly maxWaiting?: number
  readonly commands: CommandDoor
  /** What was set aside, `queue` where it stays in its queue; without it there are no such routes. */
  readonly deadLetters?: DeadLetters | 'queue'
  /** Offline events that no broker took; without it there are no such routes. */
  readonly offlineErrors?: OfflineErrors
  /** How applications come to portals; without it there are no such routes. */
  readonly installs?: Installs
  /** What portals post when something happened; without it there is no such route. */
  readonly events?: Pick<EventRoutes, 'intake' | 'maxFormBytes' | 'trustedProxies'>
  /** Pages that portals open in frames; without it there are no such routes. */
  readonly placements?: Pick<PlacementRoutes, 'pages' | 'contentOf'>
  /** Address of the portals' `BX24` library, for the installer page; that of the cloud unless set. */
  readonly bx24Script?: string
  readonly health: () => HealthReport
  readonly metrics: Pick<Metrics, 'text' | 'contentType' | 'answered'>
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Where the server listens. */
export interface Listening {
  readonly host: string
  readonly port: number
  /** Address for people and for programs on this machine. */
  readonly url: string
}

export interface HttpServer {
  /** Opens the port. Rejects with a `ConfigError` when it cannot be had. */
  listen(): Promise<Listening>
  /**
   * Takes no more connections and no more commands. Callers that still wait after two seconds are answered with 503
   * `DRAINING`, slow ones are cut off after five. Twice is harmless.
   */
  close(): Promise<void>
}

/** Health, metrics and commands over HTTP. Does no I/O before `listen`. */
export function createHttpServer(options: HttpServerOptions): HttpServer {
  const closing = new AbortController()
  // Every caller that waits listens to it; that is no leak.
  setMaxListeners(0, closing.signal)
  let closed: Promise<void> | undefined
  const server = buildServer(options, { isClosing: () => closed !== undefined, over: closing.signal })
  return {
    async listen() {
      const { host, port } = options
      await server.listen({ host, port }).catch((error: unknown) => {
        throw cannotListen(error, host, port)
      })
      return listeningAt(server, host)
    },
    close() {
      closed ??= shutDown(server, closing)
      return closed
    },
  }
}

const GRACE_MS = 2000
const CUT_MS = 5000

async function shutDown(server: FastifyInstance, closing: AbortController): Promise<void> {
  const grace = setTimeout(() => closing.abort(), GRACE_MS)
  const cut = setTimeout(() => server.server.closeAllConnections(), CUT_MS)
  await server.close().finally(() => {
    clearTimeout(grace)
    clearTimeout(cut)
  })
}

interface Closing {
  /** `close` was called. */
  readonly isClosing: () => boolean
  /** Aborts when callers have waited long enough. */
  readonly over: AbortSignal
}

function buildServer(options: HttpServerOptions, { isClosing, over }: Closing): FastifyInstance {
  const maxBodyBytes = options.maxBodyBytes ?? 16 * 1024 * 1024
  const refuse = (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const problem = problemOf(error)
    logRefusal(options.log, error, problem.body.error, problem.status, request)
    void reply.code(problem.status).headers(problem.headers).send(problem.body)
  }
  const server = Fastify({
    logger: false,
    bodyLimit: maxBodyBytes,
    // A whole request must have arrived by then; waiting for replies does not count.
    requestTimeout: 60_000,
    // While we drain, probes want the answer of /health/ready, not one that the framework makes up.
    return503OnClosing: false,
    frameworkErrors: refuse,
    routerOptions: { maxParamLength: 1024 },
  })
  server.setErrorHandler(refuse)
  server.setNotFoundHandler(() => {
    throw refusal('ROUTE_UNKNOWN')
  })
  server.removeAllContentTypeParsers()
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  )
  addHostRules(server, options)
  server.addHook('onSend', async (_request, reply) => {
    if (isClosing()) reply.header('connection', 'close')
  })
  server.addHook('onResponse', async (request, reply) => {
    options.metrics.answered(request.routeOptions.url ?? 'other', reply.statusCode)
  })
  addHealthRoutes(server, options.health, options.adminToken === undefined ? 'this-machine' : 'token')
  server.get('/metrics', async (_request, reply) =>
    reply.type(options.metrics.contentType).send(await options.metrics.text()),
  )
  const { commands, installs, bx24Script } = options
  const guard = createCommandGuard(options.adminToken)
  const draining = (): boolean => isClosing() || options.health().draining
  const framed = {
    draining,
    newId: randomUUID,
    refuse,
    ...(bx24Script === undefined ? {} : { bx24Script }),
  }
  if (options.placements !== undefined) addPlacementRoutes(server, { ...framed, ...options.placements })
  if (installs !== undefined) {
    const routes = { ...framed, installs }
    addOauthRoutes(server, routes)
    addInstallRoute(server, routes)
    addLifeCycleRoute(server, routes)
    addAdminRoutes(server, { installs, guard })
  }
  if (options.events !== undefined) addEventRoute(server, { ...options.events, now: Date.now, refuse })
  const { deadLetters } = options
  if (deadLetters !== undefined)
    addDeadRoutes(server, { letters: deadLetters === 'queue' ? undefined : deadLetters, guard })
  if (options.offlineErrors !== undefined) addOfflineRoutes(server, { errors: options.offlineErrors, guard })
  addCommandRoutes(server, {
    door: commands,
    runs: createRuns({
      run: (message, signal) => commands.run(message, signal),
      most: options.maxWaiting ?? 1000,
      now: () => performance.now(),
    }),
    contract: createNativeContract({ maxBodyBytes }),
    guard,
    draining,
    closing: over,
    newId: randomUUID,
    now: Date.now,
  })
  return server
}

/** Host names and web pages: what is allowed stands in the settings; health probes may use any name. */
function addHostRules(server: FastifyInstance, { allowedHosts, corsHosts }: HttpServerOptions): void {
  server.addHook('onRequest', async (request, reply) => {
    reply.header('cache-control', 'no-store')
    const { host, origin } = request.headers
    const probe = PROBES.has(request.routeOptions.url ?? '')
    if (!probe && !isAllowedHost(host, allowedHosts)) throw refusal('HOST_NOT_ALLOWED')
    if (origin === undefined || !isAllowedOrigin(origin, corsHosts)) return
    reply.headers({
      'access-control-allow-origin': origin,
      'access-control-expose-headers': 'Location, Preference-Applied, Retry-After, X-B24-Id, X-B24-Outcome',
      vary: 'Origin',
    })
    if (request.method !== 'OPTIONS') return
    // The hook answers a browser's preliminary question for every address. https://fetch.spec.whatwg.org/#cors-preflight-fetch
    return reply
      .code(204)
      .headers({
        'access-control-allow-methods': 'GET, POST, PUT, DELETE',
        'access-control-allow-headers':
          'Authorization, Content-Type, Idempotency-Key, Prefer, Traceparent, X-B24-Portal, X-B24-Priority, X-B24-Order-Key',
        'access-control-max-age': '600',
      })
      .send()
  })
}

function logRefusal(
  log: HttpServerOptions['log'],
  error: unknown,
  code: string,
  status: number,
  request: FastifyRequest,
): void {
  const route = request.routeOptions?.url ?? 'other'
  if (TURNED_AWAY.has(code)) {
    log('http.refused', { route, code, status, client: request.socket.remoteAddress })
    return
  }
  if (status < 500 || code === 'DRAINING') return
  const reason = maskSecrets(error instanceof Error ? error.message : String(error))
  const stack =
    code === 'INTERNAL_ERROR' && error instanceof Error ? maskSecrets(error.stack ?? '') : undefined
  log('http.failed', { route, code, status, reason, ...(stack === undefined ? {} : { stack }) })
}

function listeningAt(server: FastifyInstance, host: string): Listening {
  const { port } = server.server.address() as AddressInfo
  const name =
    host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : host.includes(':') ? `[${host}]` : host
  return { host, port, url: `http://${name}:${port}` }
}

const CAUSES: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program has the port',
  EACCES: 'this user may not open the port',
  EADDRNOTAVAIL: 'this machine has no such address',
  ENOTFOUND: 'the host name is not known',
}

function cannotListen(error: unknown, host: string, port: number): unknown {
  const why = CAUSES[(error as NodeJS.ErrnoException).code ?? '']
  if (why === undefined) return error
  return new ConfigError([`The HTTP server cannot listen on ${host}:${port}: ${why}.`], {
    hint: 'Set BRIDGE_HTTP to another address, such as 127.0.0.1:8001; port 0 takes a free one.',
    cause: error,
  })
}
