import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { OfflineErrors } from '../bridge/events/offline/errors.ts'
import { queueFacts } from '../bridge/events/offline/errors-view.ts'
import { refuseOffline } from '../bridge/events/offline/refusals.ts'
import type { Asker } from './access.ts'

/** What the routes for hidden offline events work with. */
export interface OfflineRoutes {
  readonly errors: OfflineErrors
  /** Throws unless this caller may see and release events: the rule is that of commands. */
  readonly guard: (asker: Asker) => void
}

const QUEUES_A_PAGE = 20
const MOST_A_PAGE = 200
const name = z.string().min(1).max(255)
const LIST = z.strictObject({
  portal: name.optional(),
  after: name.optional(),
  limit: z.coerce.number().int().min(1).max(MOST_A_PAGE).optional(),
})
const RELEASE = z.strictObject({
  portal: name,
  application: name.optional(),
  connector: z.string().max(255).optional(),
})

/** `/v1/events/errors`: events that portals hide because no broker took them; see `docs/offline-events.md`. */
export function addOfflineRoutes(server: FastifyInstance, { errors, guard }: OfflineRoutes): void {
  const onRequest = async (request: FastifyRequest): Promise<void> =>
    guard({ address: request.socket.remoteAddress, headers: request.headers })
  server.get('/v1/events/errors', { onRequest }, async ({ query }) => {
    const { portal, after, limit = QUEUES_A_PAGE } = read(LIST, query)
    const page = { ...(portal === undefined ? {} : { portal }), ...(after === undefined ? {} : { after }) }
    const { queues, next } = await errors.list({ ...page, limit })
    return { queues: queues.map(queueFacts), next: next ?? null }
  })
  server.post('/v1/events/errors', { onRequest }, async ({ body }) => {
    const { portal, application: clientId, connector } = read(RELEASE, parsed(body))
    return { released: await errors.release({ portal, clientId, connector }) }
  })
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  const { data, success } = schema.safeParse(value)
  if (!success) throw refuseOffline('ERRORS_INVALID')
  return data
}

function parsed(body: unknown): unknown {
  try {
    return JSON.parse(String(body))
  } catch {
    throw refuseOffline('ERRORS_INVALID')
  }
}
