import { BridgeError } from '../../model/errors.ts'
import { type KnownPortal, parseDomain } from '../../model/portal.ts'
import { authorizeAddress, finishAuthorization } from './authorize.ts'
import { type GivenTokens, tokensByHand } from './by-hand.ts'
import { checkInstall, type InstallReport } from './check.ts'
import { isEvent, parseLifeCycle, parsePage } from './forms.ts'
import { createRefusalLog, refuseInstall } from './refusals.ts'
import { createServers, type ServersOptions } from './servers.ts'
import { createStates } from './state.ts'
import type { InstallApplication, InstallStore, VerifiedInstall } from './store.ts'
import { type Verifier, verifyClaim } from './verify.ts'
import { type PortalView, viewOf } from './view.ts'

/** An application lives on a portal, and this is what it can do. */
export interface Installed {
  readonly memberId: string
  readonly domain: string
  readonly clientId: string
  /** Scheme, host and port of the portal. */
  readonly origin: string
  readonly report: InstallReport
}

/** Whose life an event told of. */
export interface LifeCycleSubject {
  readonly memberId: string
  readonly clientId: string
  /** Not said of an application that is gone. */
  readonly domain?: string
}

/** What the browser brought back from a portal. */
export interface AuthorizationAnswer {
  readonly code: string
  readonly state: string
  readonly memberId?: string
  /** Host of the authorization server. */
  readonly serverDomain?: string
}

/**
 * The ways in which applications come to portals and go. Nothing is written before it is verified; every refusal is one
 * of `INSTALL_REFUSALS`, counted and logged with its reason.
 */
export interface Installs {
  /** The address of the portal where a user agrees. The domain may be written as people write it. */
  begin(request: { readonly domain: string; readonly clientId?: string }): Promise<string>
  /** Exchanges the code at once; the state is good for one time. */
  finish(answer: AuthorizationAnswer): Promise<Installed>
  /** The form that a portal posts into the frame of the installer page, or an event posted to the same address. */
  takePage(posted: { readonly query: string; readonly body: string }): Promise<Installed | 'event'>
  /** `ONAPPINSTALL`, `ONAPPUPDATE` or `ONAPPUNINSTALL`; whose it was. */
  takeEvent(body: string): Promise<LifeCycleSubject>
  /** Tokens that an operator gives, for a portal that is known or, with its domain, a new one. */
  setTokens(portal: string, given: GivenTokens): Promise<Installed>
  /**
   * The application and refresh token of the settings, for a store that knows no portal yet. Whose they are is asked by
   * renewing them; what that gives is kept wherever it belongs. Of several processes that start together one does it;
   * `undefined` for the others.
   */
  takeFirst(
    given: InstallApplication & Required<Pick<GivenTokens, 'refreshToken' | 'domain'>>,
  ): Promise<Installed | undefined>
  /** Portals in the order of their member ids. */
  list(page: { readonly after?: string; readonly limit?: number }): Promise<KnownPortal[]>
  /** A portal with its installations and the state of its tokens, without any secret. Rejects with `PORTAL_UNKNOWN`. */
  show(portal: string): Promise<PortalView>
  /** Forgets a portal with everything that belongs to it; its member id. Rejects with `PORTAL_UNKNOWN`. */
  remove(portal: string): Promise<string>
}

export interface InstallsOptions extends ServersOptions, Omit<Verifier, 'openServer'> {
  readonly store: InstallStore
  /** Fresh and impossible to guess. */
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** Told after what is stored of a portal has changed, so that nobody goes on with older tokens. */
  readonly onChange?: (memberId: string) => void
}

/** Requests that are checked at once. */
const MOST_AT_ONCE = 100

/** The ways in and out over one store. Does no I/O by itself. */
export function createInstalls(options: InstallsOptions): Installs {
  const { store, transport, now, log, onChange } = options
  const verifier: Verifier = { store, transport, now, openServer: createServers(options) }
  const states = createStates(options)
  const refused = createRefusalLog(log, now)

  let underWay = 0

  /** Counts what is turned away on a way, and bounds what strangers can make us ask of others at once. */
  async function on<T>(way: string, act: () => Promise<T>): Promise<T> {
    underWay += 1
    try {
      if (underWay > MOST_AT_ONCE) throw refuseInstall('TOO_MANY_INSTALLS')
      return await act()
    } catch (error) {
      refused(way, error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
      throw error
    } finally {
      underWay -= 1
    }
  }

  async function keep(way: string, install: VerifiedInstall): Promise<void> {
    const { memberId, clientId } = install.installation
    await store.saveInstall(install, now())
    onChange?.(memberId)
    log('install.saved', { way, memberId, domain: install.portal.domain, clientId })
  }

  async function check(way: string, { portal, installation, tokens }: VerifiedInstall): Promise<Installed> {
    const { memberId, clientId } = installation
    const { domain, clientEndpoint } = portal
    const { accessToken, refreshToken } = tokens.pair
    const subject = {
      clientEndpoint,
      accessToken,
      hasRefreshToken: refreshToken !== undefined,
      finishing: way === 'page',
    }
    const report = await checkInstall(transport, subject, now)
    // A bigger subscription has a bigger request bucket; nothing else tells which one a portal has.
    if (report.plan?.startsWith('ent') && (await store.findPortal(memberId))?.limit === undefined)
      await store.savePortal({ ...portal, limit: 'enterprise' }, now())
    const { scope, ...rest } = report
    log('install.checked', { memberId, domain, clientId, scope: scope?.join(','), ...rest })
    return { memberId, domain, clientId, origin: new URL(clientEndpoint).origin, report }
  }

  async function save(way: string, install: VerifiedInstall): Promise<Installed> {
    await keep(way, install)
    return check(way, install)
  }

  async function takeEvent(body: string): Promise<LifeCycleSubject> {
    const happened = parseLifeCycle(body)
    if (happened.event !== 'ONAPPUNINSTALL') {
      const install = await verifyClaim(verifier, happened.claim)
      await keep(happened.event, install)
      // The portal wants its answer soon, or it sends later events late.
      // https://apidocs.bitrix24.com/settings/performance/queue.html
      check(happened.event, install).catch((error: unknown) => {
        const code = error instanceof BridgeError ? error.code : 'INTERNAL_ERROR'
        log('install.unchecked', { memberId: install.portal.memberId, code })
      })
      const { clientId } = install.installation
      return { memberId: install.portal.memberId, clientId, domain: install.portal.domain }
    }
    const { memberId, applicationToken, clean } = happened
    const clientId = (await store.findApplicationToken(memberId, applicationToken))?.clientId
    if (clientId === undefined) throw refuseInstall('APPLICATION_TOKEN_WRONG')
    const reason = 'The application was uninstalled on the portal; install it again.'
    await store.uninstall({ memberId, clientId, clean, reason, now: now() })
    onChange?.(memberId)
    log('install.removed', { memberId, clientId, clean })
    return { memberId, clientId }
  }

  async function known(name: string): Promise<KnownPortal> {
    const portal = (await store.findPortal(name)) ?? (await store.findPortal(asDomain(name)))
    if (portal === undefined) throw refuseInstall('PORTAL_UNKNOWN')
    return portal
  }

  return {
    begin: (request) => on('authorization', () => authorizeAddress(verifier, states, request)),
    finish: (answer) =>
      on('authorization', async () =>
        save('authorization', await finishAuthorization(verifier, states, answer)),
      ),
    takePage: ({ query, body }) =>
      on('page', async () => {
        if (isEvent(body)) {
          await takeEvent(body)
          return 'event'
        }
        return save('page', await verifyClaim(verifier, parsePage(query, body)))
      }),
    takeEvent: (body) => on('event', () => takeEvent(body)),
    takeFirst: (given) =>
      on('settings', async () => {
        const { clientId, clientSecret, refreshToken, domain } = given
        if (!(await store.claimOnce('first-tokens', { ttlMs: 60_000, now: now() }))) return undefined
        await store.saveApplication({ clientId, clientSecret }, now())
        const { install } = await tokensByHand(verifier, domain, { clientId, refreshToken, domain })
        return save('settings', install)
      }),
    setTokens: (portal, given) =>
      on('by hand', async () => {
        const { install, belongs } = await tokensByHand(verifier, portal, given)
        const installed = await save('by hand', install)
        // A refresh token is used up by asking whose it is, so what it gave is kept where it belongs.
        if (!belongs) throw refuseInstall('MEMBER_MISMATCH')
        return installed
      }),
    list: (page) => store.listPortals(page),
    show: async (portal) => viewOf(store, await known(portal)),
    async remove(name) {
      const { memberId, domain } = await known(name)
      await store.removePortal(memberId)
      onChange?.(memberId)
      log('portal.removed', { memberId, domain })
      return memberId
    },
  }
}

/** The name as a domain, when it can be one. */
function asDomain(name: string): string {
  try {
    return parseDomain(name)
  } catch {
    return name
  }
}
