import type { TokenAnswer } from '../oauth/authority.ts'
import type { Portal } from '../portal.ts'
import { deepLink } from './deep-links.ts'
import type { FrameForm, FrameSession } from './frame.ts'
import type { Installation } from './installations.ts'
import { finish, install, uninstall, update } from './life-cycle.ts'
import type { PageParts } from './pages.ts'
import type { Delivery } from './sender.ts'
import { type Visit, visit } from './visit.ts'

/**
 * Something that people or the market do to an application on a portal.
 *
 * | `do` | means |
 * | --- | --- |
 * | `install` | puts it on the portal; an installer page still has to finish |
 * | `finish` | what `BX24.installFinish()` does |
 * | `open` | makes the form that a browser posts into the application's frame |
 * | `visit` | posts that form, and tells whether a browser would show the answer inside the portal |
 * | `authorize` | gives out a code, as the redirect of `/oauth/authorize/` would carry |
 * | `token` | gives out a pair of tokens at once: a new chain |
 * | `update` | a new version; `newApplicationToken` changes that too |
 * | `uninstall` | removes it; `clean` tells it to forget all data |
 * | `pay` | with `paid: false` its time is over, until it is paid again |
 */
export type AppAction = { readonly clientId: string } & (
  | { readonly do: 'install' | 'authorize' | 'token'; readonly userId?: number }
  | { readonly do: 'finish' }
  | {
      readonly do: 'open' | 'visit'
      readonly userId?: number
      readonly placement?: string
      /** In place of the placement: a link that somebody clicks, `/marketplace/view/CLIENT_ID/?params[key]=value`. */
      readonly link?: string
      /** `PLACEMENT_OPTIONS` as a value; a text is passed on as it is. */
      readonly options?: unknown
      /** Which page, where several are bound to the placement. */
      readonly handler?: string
      /** Somebody without access to the application: no tokens. */
      readonly guest?: boolean
    }
  | { readonly do: 'update'; readonly version?: number; readonly newApplicationToken?: boolean }
  | { readonly do: 'uninstall'; readonly clean?: boolean }
  | { readonly do: 'pay'; readonly paid: boolean }
)

/** What came of an action. */
export interface AppOutcome {
  readonly installed: boolean
  readonly applicationToken: string
  /** What was posted to handlers, when the action raised an event. */
  readonly deliveries: readonly Delivery[]
  /** For `open`, and for `install` when there is a page to show. */
  readonly form?: FrameForm
  /** For `visit`. */
  readonly visit?: Visit
  readonly code?: string
  readonly token?: TokenAnswer
}

/** Carries out an action. Resolves when its events have been delivered or lost; rejects when it is not possible. */
export async function act(parts: PageParts, portal: Portal, action: AppAction): Promise<AppOutcome> {
  const userId = 'userId' in action ? (action.userId ?? 1) : 1
  if (action.do === 'install') {
    const application = parts.authority.applications.find(action.clientId)
    if (application === undefined) throw new Error(`no application ${action.clientId}`)
    const { installation, deliveries } = await install(parts, portal, application, userId)
    return outcome(
      installation,
      deliveries,
      application.hasUi ? formOf(open(parts, installation, { userId })) : {},
    )
  }
  const installation = portal.installations.find(action.clientId)
  if (installation === undefined) throw new Error(`${action.clientId} is not installed on ${portal.domain}`)
  const grant = { installation, userId }
  switch (action.do) {
    case 'finish':
      return outcome(installation, await finish(parts, installation))
    case 'open':
      return outcome(installation, [], formOf(open(parts, installation, { ...action, userId })))
    case 'visit': {
      const session = open(parts, installation, { ...action, userId })
      if (session === undefined) throw new Error('the application has no page there')
      return outcome(installation, [], { ...formOf(session), visit: await visit(session.form, portal.url) })
    }
    case 'authorize':
      return outcome(installation, [], { code: parts.authority.issueCode(grant) })
    case 'token': {
      const pair = parts.authority.grants.start(grant, parts.authority.now())
      return outcome(installation, [], { token: parts.authority.answerOf(pair) })
    }
    case 'update':
      return outcome(installation, await update(parts, installation, action))
    case 'uninstall': {
      const deliveries = await uninstall(parts, installation, action.clean === true)
      return { ...outcome(installation, deliveries), installed: false }
    }
    case 'pay':
      installation.paid = action.paid
      return outcome(installation, [])
    default:
      throw new Error('no such action')
  }
}

function open(
  parts: PageParts,
  installation: Installation,
  how: {
    readonly userId: number
    readonly placement?: string
    readonly link?: string
    readonly options?: unknown
    readonly handler?: string
    readonly guest?: boolean
  },
): FrameSession | undefined {
  const linked = how.link === undefined ? {} : linkedPlace(installation, how.link)
  const { userId, placement: code = 'DEFAULT', options = [], handler, guest = false } = { ...how, ...linked }
  const text = typeof options === 'string' ? options : JSON.stringify(options)
  const placement = { code, options: text, ...(handler !== undefined && { handler }) }
  return parts.frames.open(parts.authority, installation, { userId, placement, guest })
}

/** Where a link leads, and with which options. Throws for a link that leads into no application, or into another one. */
function linkedPlace(
  { portal, application }: Installation,
  link: string,
): { readonly placement?: string; readonly options?: string } {
  const { pathname, search } = new URL(link, portal.url)
  const to = deepLink(portal, pathname, search.slice(1))
  if (to?.get('client_id') !== application.clientId)
    throw new Error(`${link} is no link into the application`)
  const placement = to.get('placement')
  return placement === null ? {} : { placement, options: to.get('options') ?? '{}' }
}

function formOf(session: FrameSession | undefined): Pick<AppOutcome, 'form'> {
  return session === undefined ? {} : { form: session.form }
}

function outcome(
  { installed, applicationToken }: Installation,
  deliveries: readonly Delivery[],
  more: Pick<AppOutcome, 'form' | 'visit' | 'code' | 'token'> = {},
): AppOutcome {
  return { installed, applicationToken, deliveries, ...more }
}
