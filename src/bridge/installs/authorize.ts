import { parseDomain } from '../../model/portal.ts'
import type { AuthorizationAnswer } from './installs.ts'
import { refuseInstall } from './refusals.ts'
import type { States } from './state.ts'
import type { InstallApplication, InstallStore, VerifiedInstall } from './store.ts'
import { serverRefusal, type Verifier } from './verify.ts'

/**
 * Where a user agrees that the application works on his behalf. Always https, except for a portal on this machine that
 * is written with `http://`: a sandbox.
 *
 * https://apidocs.bitrix24.com/settings/oauth/index.html
 */
export async function authorizeAddress(
  { store }: Pick<Verifier, 'store'>,
  states: States,
  request: { readonly domain: string; readonly clientId?: string },
): Promise<string> {
  const domain = parseDomain(request.domain)
  const { clientId } = await chooseApplication(store, request.clientId)
  const onThisMachine = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/.test(domain)
  const scheme = onThisMachine && /^\s*http:/i.test(request.domain) ? 'http' : 'https'
  const url = new URL(`${scheme}://${domain}/oauth/authorize/`)
  url.searchParams.set('client_id', clientId)
  url.searchParams.set('response_type', 'code')
  url.searchParams.set('state', states.issue({ domain, clientId }))
  return url.href
}

/** What the code that came back stands for. The code is spent at the first try, whatever comes of it. */
export async function finishAuthorization(
  verifier: Verifier,
  states: States,
  answer: AuthorizationAnswer,
): Promise<VerifiedInstall> {
  const { store } = verifier
  const { domain, clientId } = await states.take(answer.state)
  const server = verifier.openServer(answer.serverDomain)
  const application = await store.findApplication(clientId)
  if (application === undefined) throw refuseInstall('APPLICATION_UNKNOWN')
  const grant = await server.exchange(application, answer.code).catch((error: unknown) => {
    throw serverRefusal(error, 'CODE_REFUSED')
  })
  const { memberId, clientEndpoint, serverEndpoint, scope, status } = grant
  if (answer.memberId !== undefined && answer.memberId !== memberId) throw refuseInstall('MEMBER_MISMATCH')
  if (parseDomain(clientEndpoint) !== domain) throw refuseInstall('DOMAIN_MISMATCH')
  const userId =
    grant.userId ?? (await server.appInfo(grant.accessToken).catch(() => undefined))?.userId ?? ''
  const before = (await store.listInstallations(memberId)).find((one) => one.clientId === clientId)
  return {
    portal: { memberId, domain, clientEndpoint, ...(serverEndpoint === '' ? {} : { serverEndpoint }) },
    // Who installed it stays; this user has only agreed.
    installation: { userId, ...before, memberId, clientId, status, scope },
    tokens: {
      key: { memberId, clientId, userId },
      pair: {
        accessToken: grant.accessToken,
        refreshToken: grant.refreshToken,
        expiresAt: grant.expiresAt,
        scope,
        status,
      },
    },
  }
}

/** The application that is meant; without a name the only one there is. */
export async function chooseApplication(
  store: InstallStore,
  clientId: string | undefined,
): Promise<InstallApplication> {
  const all = clientId === undefined ? await store.listApplications() : []
  const chosen = clientId ?? (all.length === 1 ? all[0]?.clientId : undefined)
  if (chosen === undefined) throw refuseInstall('APPLICATION_MISSING')
  const application = await store.findApplication(chosen)
  if (application === undefined) throw refuseInstall('APPLICATION_UNKNOWN')
  return application
}
