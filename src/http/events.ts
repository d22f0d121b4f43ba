import type { FastifyInstance } from 'fastify'
import { formError, formOf, type InstallRoutes, takeForms } from './install.ts'
import { refusal } from './problems.ts'

/** `POST /b24/app-events`: events of an application's own life; see `docs/connecting.md`. Always answers with JSON. */
export function addLifeCycleRoute(server: FastifyInstance, routes: InstallRoutes): void {
  void server.register(async (scope) => {
    takeForms(scope)
    scope.setErrorHandler((error, request, reply) => routes.refuse(formError(error), request, reply))
    scope.post('/b24/app-events', async (request) => {
      if (routes.draining()) throw refusal('DRAINING')
      await routes.installs.takeEvent(formOf(request))
      return { status: 'ok' }
    })
  })
}
