import { createHash } from 'node:crypto'
import { BridgeError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { KnownPortal } from '../../model/portal.ts'
import type { TokenKey, TokenPair, TokenState } from '../../model/token.ts'
import { parsePage } from '../installs/forms.ts'
import type { Installs } from '../installs/installs.ts'
import { createRefusalLog, refuseInstall } from '../installs/refusals.ts'
import { createServers, type ServersOptions } from '../installs/servers.ts'
import type { InstallStore } from '../installs/store.ts'
import { type Verifier, verifyUser } from '../installs/verify.ts'
import { type PageForm, parsePageForm } from './form.ts'

/** Who opened a page where; all of it is proven. */
export interface PageContext {
  /** Name of the page in its address. */
  readonly page: string
  readonly memberId: string
  readonly domain: string
  /** Scheme, host and port of the portal. */
  readonly origin: string
  readonly clientId: string
  /** Absent where the portal sent no token of the user. */
  readonly userId?: string
  readonly isAdmin: boolean
  readonly placement: string
  /** Those of the form; the browser could have changed them. */
  readonly options: JsonObject
  readonly language?: string
}

/** What was posted to a page; nothing for a plain GET. */
export interface PagePosted {
  readonly name: string
  readonly query: string
  readonly body: string
}

/** The pages that portals open in frames. */
export interface Pages {
  /**
   * Proves a form and says who opened the page. `undefined` when it proves nothing and claims nothing either: a plain
   * GET, a user without access to the application. Rejects with one of `INSTALL_REFUSALS` for a claim that is not true,
   * or that nobody can judge now.
   */
  open(posted: PagePosted): Promise<PageContext | undefined>
}

/** What pages need of a store. */
export interface PageStore {
  listTokens(memberId: string): Promise<readonly TokenState[]>
  saveTokens(key: TokenKey, pair: TokenPair, now: number): Promise<void>
  /** This user's pair is for calls in his own name only. */
  noteVisitor(key: TokenKey): Promise<void>
}

export interface PagesOptions extends ServersOptions, Omit<Verifier, 'openServer'> {
  readonly store: InstallStore & PageStore
  readonly installs: Pick<Installs, 'takePage'>
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

type User = Pick<PageContext, 'memberId' | 'domain' | 'origin' | 'clientId' | 'userId' | 'isAdmin'>

/** Forms that are checked at once. */
const MOST_AT_ONCE = 100
/** A user who opens page after page is asked for once in so long. */
const BELIEVED_MS = 5 * 60_000
const MOST_USERS = 10_000

/** Pages over one store. Does no I/O by itself. */
export function createPages(options: PagesOptions): Pages {
  const { store, transport, now, log } = options
  const verifier: Verifier = { store, transport, now, openServer: createServers(options) }
  const refused = createRefusalLog(log, now)
  const users = new Map<string, { readonly user: User; readonly until: number }>()
  let underWay = 0

  /** By the application token alone: the portal is proven, the user is nobody. */
  async function byApplicationToken(form: PageForm): Promise<User | undefined> {
    const { memberId, applicationToken } = form
    if (memberId === undefined || applicationToken === undefined) return undefined
    const clientId = (await store.findApplicationToken(memberId, applicationToken))?.clientId
    const portal = clientId === undefined ? undefined : await store.findPortal(memberId)
    if (clientId === undefined || portal === undefined) return undefined
    return { ...placeOf(portal), clientId, isAdmin: false }
  }

  /** By the token of the user, which the authorization server and the portal confirm. */
  async function byUser(form: PageForm, posted: PagePosted): Promise<User> {
    const claim = parsePage(posted.query, posted.body)
    const application = await applicationOf(form)
    const known = users.get(keyOf(claim.memberId, claim.domain, claim.accessToken))
    if (known !== undefined && now() < known.until) return ofApplication(known.user, application)
    const { install, isAdmin } = await verifyUser(verifier, claim)
    const { memberId, clientId } = install.installation
    const before = (await store.listInstallations(memberId)).find((one) => one.clientId === clientId)
    if (before === undefined && !isAdmin) throw refuseInstall('NOT_ADMIN')
    // An application with pages and without an installer is installed as soon as its page is opened.
    // https://apidocs.bitrix24.com/settings/app-installation/installation-finish.html
    if (before === undefined) await options.installs.takePage({ query: posted.query, body: posted.body })
    else await keepTokens(install.tokens.key, install.tokens.pair)
    const { domain, clientEndpoint } = install.portal
    const { userId } = install.tokens.key
    const user = {
      memberId,
      domain,
      origin: new URL(clientEndpoint).origin,
      clientId,
      ...(userId === '' ? {} : { userId }),
      isAdmin,
    }
    if (users.size >= MOST_USERS) users.delete(users.keys().next().value as string)
    users.set(keyOf(claim.memberId, claim.domain, claim.accessToken), { user, until: now() + BELIEVED_MS })
    return ofApplication(user, application)
  }

  /**
   * Whose application token it is, before anybody else is asked. Of a portal that never told one it cannot be compared:
   * then the token of the user alone proves the form.
   */
  async function applicationOf({ memberId, applicationToken }: PageForm): Promise<string | undefined> {
    if (memberId === undefined || applicationToken === undefined) return undefined
    const clientId = (await store.findApplicationToken(memberId, applicationToken))?.clientId
    if (clientId !== undefined) return clientId
    const known = (await store.listApplicationTokens(memberId)).some((one) => one.clientId !== undefined)
    if (known) throw refuseInstall('APPLICATION_TOKEN_WRONG')
    return undefined
  }

  /** For calls in the name of this user. A pair that is alive stays: whoever installed keeps his own. */
  async function keepTokens(key: TokenKey, pair: TokenPair): Promise<void> {
    if (key.userId === '' || pair.refreshToken === undefined) return
    const tokens = await store.listTokens(key.memberId)
    const own = tokens.find((one) => one.clientId === key.clientId && one.userId === key.userId)
    if (own?.state === 'active' && own.hasRefreshToken) return
    // First the note: a pair without it would speak for the application.
    if (own === undefined) await store.noteVisitor(key)
    await store.saveTokens(key, pair, now())
    log('page.user', { memberId: key.memberId, clientId: key.clientId, userId: key.userId })
  }

  async function open(posted: PagePosted): Promise<PageContext | undefined> {
    const form = parsePageForm(posted.query, posted.body)
    const user = form.hasUser ? await byUser(form, posted) : await byApplicationToken(form)
    if (user === undefined) {
      if (form.applicationToken !== undefined) throw refuseInstall('APPLICATION_TOKEN_WRONG')
      return undefined
    }
    const { placement, options: placed, language } = form
    return {
      ...user,
      page: posted.name,
      placement,
      options: placed,
      ...(language === undefined ? {} : { language }),
    }
  }

  return {
    async open(posted) {
      underWay += 1
      try {
        if (underWay > MOST_AT_ONCE) throw refuseInstall('TOO_MANY_INSTALLS')
        return await open(posted)
      } catch (error) {
        refused('placement', error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
        throw error
      } finally {
        underWay -= 1
      }
    },
  }
}

/** Throws when the application token is that of another application than the user's token. */
function ofApplication(user: User, application: string | undefined): User {
  if (application !== undefined && application !== user.clientId)
    throw refuseInstall('APPLICATION_TOKEN_WRONG')
  return user
}

function placeOf({
  memberId,
  domain,
  clientEndpoint,
}: KnownPortal): Pick<User, 'memberId' | 'domain' | 'origin'> {
  return { memberId, domain, origin: new URL(clientEndpoint).origin }
}

/** Tokens are not kept in memory for this. */
function keyOf(memberId: string, domain: string, accessToken: string): string {
  return createHash('sha256')
    .update(JSON.stringify([memberId, domain, accessToken]))
    .digest('base64')
}
