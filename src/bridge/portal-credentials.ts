import type { Credential } from '../model/credential.ts'
import { CommandError } from '../model/errors.ts'
import type { KnownPortal, Portal } from '../model/portal.ts'
import type { TokenKey, TokenState } from '../model/token.ts'
import { parseWebhook, webhookCredential } from '../model/webhook.ts'
import type { LentCredential } from './lent.ts'
import { hintOf, stopped } from './tokens/reasons.ts'

/** What finding a portal needs of a store. */
export interface PortalStore {
  /** By member id, alias or domain. */
  portal(name: string): Promise<KnownPortal | undefined>
  /** The domain of the one portal that is known; `undefined` when there is none, or more than one. */
  only(): Promise<string | undefined>
  tokens(memberId: string): Promise<readonly TokenState[]>
  /** Stored webhooks of a member id or of a domain. */
  webhooks(portal: string): Promise<readonly StoredWebhook[]>
  webhookUrl(id: string): Promise<string | undefined>
  /** An access token that an event brought of a user who has no pair, while it lives. */
  accessOf?(
    whose: { readonly memberId: string; readonly clientId?: string; readonly userId: string },
    now: number,
  ): Promise<(TokenKey & { readonly accessToken: string }) | undefined>
  /** Keeps the new address of a portal that has moved. */
  save(portal: Portal, now: number): Promise<void>
}

export interface StoredWebhook {
  readonly id: string
  readonly userId: string
  readonly createdAt: number
}

/** Whom a command wants to be. */
export interface Wish {
  readonly application?: string | undefined
  readonly as?: string | undefined
}

/** Who may be used on a portal: tokens of a user, or a webhook. */
type Candidate = { readonly userId: string; readonly createdAt: number } & (
  | { readonly tokens: TokenState }
  | { readonly webhook: string }
)

/**
 * The credential for a wish: the oldest one of those that fit and work; a name without a portal is that of a domain for
 * which there is only a webhook; a lent one is to be proven before it is used. `undefined` when nothing is known under this name. Rejects with an `AuthError`
 * `PORTAL_SUSPENDED` or `TOKENS_DEAD` with the reason, or a `CommandError` `USER_UNKNOWN` or `APPLICATION_UNKNOWN`.
 */
export async function chooseCredential(
  store: PortalStore,
  asked: {
    readonly name: string
    readonly portal: KnownPortal | undefined
    readonly wish: Wish
    readonly now: number
  },
  credentialFor: (portal: KnownPortal, key: TokenKey) => Credential,
): Promise<Credential | LentCredential | undefined> {
  const { name, portal, wish } = asked
  const all = await candidates(store, portal, name)
  if (portal === undefined && all.length === 0) return undefined
  const domain = portal?.domain ?? name
  const fitting = all.filter((one) => fits(one, wish))
  if (fitting.length === 0) {
    const lent = portal && (await lentCredential(store, portal, wish, asked.now))
    if (lent !== undefined) return lent
    throw nobody(domain, wish, all.length > 0)
  }
  const working = fitting.filter((one) => !('tokens' in one) || one.tokens.state === 'active')
  const chosen = working.sort((a, b) => a.createdAt - b.createdAt)[0]
  if (chosen === undefined) {
    const [dead] = fitting
    throw stopped(
      'TOKENS_DEAD',
      dead !== undefined && 'tokens' in dead ? dead.tokens.reason : undefined,
      domain,
    )
  }
  if ('tokens' in chosen) return credentialFor(portal as KnownPortal, chosen.tokens)
  const url = await store.webhookUrl(chosen.webhook)
  return url === undefined ? undefined : webhookCredential(parseWebhook(url))
}

/** For who is asked for by name only: the token ends within the hour, and nothing renews it. */
async function lentCredential(
  store: PortalStore,
  { memberId, clientEndpoint }: KnownPortal,
  { application, as }: Wish,
  now: number,
): Promise<LentCredential | undefined> {
  if (as === undefined) return undefined
  const whose = { memberId, userId: as, ...(application === undefined ? {} : { clientId: application }) }
  const found = await store.accessOf?.(whose, now)
  if (found === undefined) return undefined
  const { origin, host, pathname } = new URL(clientEndpoint)
  return {
    origin,
    domain: host,
    key: `${found.clientId} ${as} ${memberId} lent`,
    authorize: () => ({ base: pathname, params: { auth: found.accessToken } }),
    saidToBe: { userId: as, accessToken: found.accessToken },
  }
}

/** The error for a portal that is not to be called now, or `undefined`. */
export function suspension(portal: KnownPortal | undefined, now: number): CommandError | undefined {
  if (portal?.state !== 'suspended' || (portal.nextTry ?? Number.POSITIVE_INFINITY) <= now) return undefined
  const why = portal.reason === undefined ? '' : `: ${portal.reason}`
  return new CommandError('PORTAL_SUSPENDED', `The portal ${portal.domain} is suspended${why}`, {
    status: 403,
    hint: hintOf(portal.reason),
  })
}

async function candidates(
  store: PortalStore,
  portal: KnownPortal | undefined,
  name: string,
): Promise<Candidate[]> {
  const tokens = portal === undefined ? [] : await store.tokens(portal.memberId)
  const found = new Map<string, StoredWebhook>()
  for (const one of portal === undefined ? [name] : [portal.memberId, portal.domain])
    for (const webhook of await store.webhooks(one)) found.set(webhook.id, webhook)
  return [
    ...tokens.map((one) => ({ userId: one.userId, createdAt: one.createdAt, tokens: one })),
    ...[...found.values()].map(({ id, userId, createdAt }) => ({ userId, createdAt, webhook: id })),
  ]
}

/** Who only opened a page speaks for nobody but himself, whatever becomes of the others. */
function fits(one: Candidate, { application, as }: Wish): boolean {
  if (as === undefined ? 'tokens' in one && one.tokens.visitor === true : one.userId !== as) return false
  return application === undefined || ('tokens' in one && one.tokens.clientId === application)
}

/** The error for a user or an application that is not known on a portal. */
export function nobody(domain: string, { application, as }: Wish, others: boolean): CommandError {
  if (!others) {
    return new CommandError('PORTAL_UNKNOWN', `Nobody has connected the portal ${domain}`, {
      status: 404,
      hint: 'Install the application on it, or add a webhook or tokens: `b24-bridge portals add`.',
    })
  }
  const user = as === undefined ? '' : ` as the user ${as.slice(0, 20)}`
  const by =
    application === undefined ? '' : ` by the application ${JSON.stringify(application.slice(0, 100))}`
  return new CommandError(
    as === undefined ? 'APPLICATION_UNKNOWN' : 'USER_UNKNOWN',
    `Nothing is stored to call ${domain}${user}${by}`,
    {
      status: 404,
      hint: 'Leave as and application out, or let that user open the application on the portal once.',
    },
  )
}
