import type { FastifyInstance, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { GivenTokens } from '../bridge/installs/by-hand.ts'
import type { Installs } from '../bridge/installs/installs.ts'
import { refuseInstall } from '../bridge/installs/refusals.ts'
import type { PortalView } from '../bridge/installs/view.ts'
import type { KnownPortal } from '../model/portal.ts'
import type { Asker } from './access.ts'
import { summaryOf } from './install.ts'

/** What the routes for operators work with. */
export interface AdminRoutes {
  readonly installs: Installs
  /** Throws unless this caller may see and change portals: the rule is that of commands. */
  readonly guard: (asker: Asker) => void
}

const secret = z
  .string()
  .regex(/^[\x21-\x7e]+$/)
  .max(1000)
const TOKENS = z.strictObject({
  access_token: secret.optional(),
  refresh_token: secret.optional(),
  expires_in: z.number().positive().max(1e9).optional(),
  client_id: z.string().min(1).max(128).optional(),
  domain: z.string().min(1).max(300).optional(),
  server_endpoint: z.string().min(1).max(500).optional(),
})

const MOST_PORTALS = 1000

/** `/v1/portals`: what is stored of portals, for operators. Secrets show as "set" or "not set" only. */
export function addAdminRoutes(server: FastifyInstance, { installs, guard }: AdminRoutes): void {
  const onRequest = async (request: FastifyRequest): Promise<void> =>
    guard({ address: request.socket.remoteAddress, headers: request.headers })
  server.get<{ Querystring: Record<string, unknown> }>('/v1/portals', { onRequest }, async ({ query }) => {
    const asked = Number(query.limit ?? 100)
    const limit = Number.isInteger(asked) && asked > 0 ? Math.min(asked, MOST_PORTALS) : 100
    const after = typeof query.after === 'string' ? query.after : ''
    const portals = await installs.list({ after, limit })
    const next = portals.length === limit ? portals.at(-1)?.memberId : undefined
    return { portals: portals.map(portalJson), next: next ?? null }
  })
  server.get<{ Params: { id: string } }>('/v1/portals/:id', { onRequest }, async ({ params }) =>
    viewJson(await installs.show(params.id)),
  )
  server.put<{ Params: { id: string } }>('/v1/portals/:id/tokens', { onRequest }, async ({ params, body }) =>
    summaryOf(await installs.setTokens(params.id, readTokens(body))),
  )
  server.delete<{ Params: { id: string } }>('/v1/portals/:id', { onRequest }, async ({ params }, reply) => {
    await installs.remove(params.id)
    return reply.code(204).send()
  })
}

/** The body holds secrets: a refusal never repeats any of it. */
function readTokens(body: unknown): GivenTokens {
  let value: unknown
  try {
    value = JSON.parse(String(body))
  } catch {
    throw refuseInstall('TOKENS_INVALID')
  }
  const { data } = TOKENS.safeParse(value)
  if (data === undefined) throw refuseInstall('TOKENS_INVALID')
  const given = {
    accessToken: data.access_token,
    refreshToken: data.refresh_token,
    expiresInSeconds: data.expires_in,
    clientId: data.client_id,
    domain: data.domain,
    serverEndpoint: data.server_endpoint,
  }
  return Object.fromEntries(Object.entries(given).filter(([, one]) => one !== undefined))
}

function portalJson(portal: KnownPortal): Record<string, unknown> {
  return {
    member_id: portal.memberId,
    domain: portal.domain,
    client_endpoint: portal.clientEndpoint,
    server_endpoint: portal.serverEndpoint ?? null,
    limit: portal.limit ?? null,
    state: portal.state,
    reason: portal.reason ?? null,
    next_try: timeOf(portal.nextTry),
    aliases: portal.aliases,
    created_at: timeOf(portal.createdAt),
    updated_at: timeOf(portal.updatedAt),
  }
}

function viewJson({ portal, installations, tokens }: PortalView): Record<string, unknown> {
  return {
    ...portalJson(portal),
    installations: installations.map((one) => ({
      client_id: one.clientId,
      status: one.status ?? null,
      version: one.version ?? null,
      scope: one.scope,
      user_id: one.userId ?? null,
      application_token: one.hasApplicationToken ? 'set' : 'not set',
    })),
    tokens: tokens.map((one) => ({
      client_id: one.clientId,
      user_id: one.userId,
      access_token: 'set',
      refresh_token: one.hasRefreshToken ? 'set' : 'not set',
      expires_at: timeOf(one.expiresAt),
      state: one.state,
      reason: one.reason ?? null,
      renewed_at: timeOf(one.renewedAt),
    })),
  }
}

function timeOf(ms: number | undefined): string | null {
  return ms === undefined ? null : new Date(ms).toISOString()
}
