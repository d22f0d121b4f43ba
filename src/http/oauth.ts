import type { FastifyInstance } from 'fastify'
import { refuseInstall } from '../bridge/installs/refusals.ts'
import { forPeople, type InstallRoutes, sendPage, summaryOf, wantsJson } from './install.ts'
import { connectedPage } from './install-page.ts'
import { refusal } from './problems.ts'

/** `GET /oauth/start` and `GET /oauth/callback`; see `docs/connecting.md`. */
export function addOauthRoutes(server: FastifyInstance, routes: InstallRoutes): void {
  const { installs } = routes
  void server.register(async (scope) => {
    scope.setErrorHandler(forPeople(routes))
    scope.get<{ Querystring: Record<string, unknown> }>('/oauth/start', async ({ query }, reply) => {
      const clientId = textOf(query.client_id)
      const address = await installs.begin({
        domain: textOf(query.domain) ?? '',
        ...(clientId === undefined ? {} : { clientId }),
      })
      return reply.header('referrer-policy', 'no-referrer').redirect(address, 302)
    })
    scope.get<{ Querystring: Record<string, unknown> }>('/oauth/callback', async (request, reply) => {
      if (routes.draining()) throw refusal('DRAINING')
      const { query } = request
      const [code, state] = [textOf(query.code), textOf(query.state)]
      const [memberId, serverDomain] = [textOf(query.member_id), textOf(query.server_domain)]
      if (state === undefined) throw refuseInstall('STATE_INVALID')
      if (code === undefined) throw refuseInstall('CODE_REFUSED')
      const installed = await installs.finish({
        code,
        state,
        ...(memberId === undefined ? {} : { memberId }),
        ...(serverDomain === undefined ? {} : { serverDomain }),
      })
      return wantsJson(request) ? reply.send(summaryOf(installed)) : sendPage(reply, connectedPage(installed))
    })
  })
}

/** A parameter that is there once and not empty. */
function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' && value.length <= 2000 ? value : undefined
}
