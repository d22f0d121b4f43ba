import type { FastifyInstance } from 'fastify'
import type { CommandAccess } from './access.ts'

/** One thing that the service needs: the broker, the store. */
export interface HealthPart {
  readonly name: string
  readonly ok: boolean
  /** Why it is not; shown to everybody, so without any secret. */
  readonly reason?: string
}

/** How the service is at this moment. Asking must cost nothing: no I/O. */
export interface HealthReport {
  /** Shutting down: takes no more commands, finishes those in hand. */
  readonly draining: boolean
  /** Commands were taken at least once. */
  readonly started: boolean
  readonly parts: readonly HealthPart[]
}

const LIVE = ['/health/live', '/livez'] as const
const READY = ['/health/ready', '/readyz'] as const
const STARTED = ['/health/started', '/startupz'] as const

/** Addresses of probes, which have neither a token nor a name: open to everybody and to every host name. */
export const PROBES: ReadonlySet<string> = new Set([...LIVE, ...READY, ...STARTED])

/**
 * `GET /health/live`: 200 as long as the event loop turns. `GET /health/ready`: 200 while every part is well and the
 * service is not draining, otherwise 503 with the reasons; `?exclude=broker&exclude=queue` leaves these parts out. `GET /health/started`: 200 from the first time that commands
 * were taken, whatever happens later. Each has a second address, as Kubernetes calls its own: `/livez` and so on.
 */
export function addHealthRoutes(
  server: FastifyInstance,
  health: () => HealthReport,
  access: CommandAccess,
): void {
  for (const path of LIVE) server.get(path, () => ({ status: 'live', commands_from: access }))
  for (const path of READY)
    server.get(path, (request, reply) => {
      const body = readiness(without(health(), request.url), access)
      return reply.code(body.status === 'ready' ? 200 : 503).send(body)
    })
  for (const path of STARTED)
    server.get(path, (_request, reply) => {
      if (health().started) return reply.send({ status: 'started', commands_from: access })
      return reply.code(503).send({ ...readiness(health(), access), status: 'starting' })
    })
}

/** The report without the parts that the address names; what is no part changes nothing. */
function without(report: HealthReport, url: string): HealthReport {
  const excluded = new URL(url, 'http://localhost').searchParams.getAll('exclude')
  return { ...report, parts: report.parts.filter(({ name }) => !excluded.includes(name)) }
}

/** The body of `/health/ready`. Pure. */
export function readiness(report: HealthReport, access: CommandAccess) {
  const { draining, parts } = report
  const reasons = parts.filter(({ ok }) => !ok).map(({ name, reason }) => `${name}: ${reason ?? 'not ready'}`)
  if (draining) reasons.unshift('the bridge is shutting down')
  const states = parts.map(({ name, ...state }) => [name, state] as const)
  const seen = { draining, parts: Object.fromEntries(states), commands_from: access }
  if (reasons.length === 0) return { status: 'ready' as const, ...seen }
  return {
    status: 'not ready' as const,
    error: draining ? 'DRAINING' : 'NOT_READY',
    error_description: reasons.join('; '),
    ...seen,
  }
}
