import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { PAGES_PATH } from '../bridge/events/subscriptions/addresses.ts'
import type { ContentOf } from '../bridge/pages/content.ts'
import type { Pages } from '../bridge/pages/pages.ts'
import { contextJson } from '../bridge/pages/token.ts'
import { BX24_SCRIPT, forPeople, type InstallRoutes, sendPage, takeForms, wantsJson } from './install.ts'
import { builtInPage, contentPage } from './placement-page.ts'
import { refusal } from './problems.ts'

/** What the routes of pages work with. */
export interface PlacementRoutes extends Pick<InstallRoutes, 'bx24Script' | 'draining' | 'newId' | 'refuse'> {
  readonly pages: Pages
  readonly contentOf: ContentOf
}

/**
 * `/b24/placements/{name}` and `/b24/app`: what portals open in frames; see `docs/placements.md`. Mostly the user's
 * browser posts a form there; some places open by a plain GET.
 */
export function addPlacementRoutes(server: FastifyInstance, routes: PlacementRoutes): void {
  const { pages, contentOf, draining, newId, bx24Script = BX24_SCRIPT } = routes

  async function show(name: string, request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    if (draining()) throw refusal('DRAINING')
    const mark = request.url.indexOf('?')
    const query = mark < 0 ? '' : request.url.slice(mark + 1)
    const body = typeof request.body === 'string' ? request.body : ''
    const context = await pages.open({ name, query, body })
    if (wantsJson(request))
      return reply.send({ status: 'ok', context: context === undefined ? null : contextJson(context) })
    const showing = { context, nonce: Buffer.from(newId()).toString('base64url'), bx24Script }
    const content = await contentOf(name, showing)
    return sendPage(reply, content === undefined ? builtInPage(showing) : contentPage(content, showing))
  }

  void server.register(async (scope) => {
    takeForms(scope)
    scope.setErrorHandler(forPeople(routes))
    scope.route({
      method: ['GET', 'POST'],
      url: '/b24/app',
      handler: (request, reply) => show('app', request, reply),
    })
    scope.route<{ Params: { name: string } }>({
      method: ['GET', 'POST'],
      url: `${PAGES_PATH}:name`,
      handler: (request, reply) => {
        const { name } = request.params
        if (!/^[a-z\d][a-z\d_-]{0,63}$/i.test(name)) throw refusal('ROUTE_UNKNOWN')
        return show(name, request, reply)
      },
    })
  })
}
