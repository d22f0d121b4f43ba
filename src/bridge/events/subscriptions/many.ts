import { type BridgeError, CommandError } from '../../../model/errors.ts'
import type { KnownPortal } from '../../../model/portal.ts'
import { type ApplyParts, type ApplyRequest, applyToPortal, type PortalReport } from './apply.ts'
import type { SubscriptionDocument } from './document.ts'
import { ALL_PORTALS, type SubscriptionStore } from './store.ts'

/** Portals at once. */
const AT_ONCE = 8
const PAGE = 200

/** A portal that a document means, or the reason why there is none. */
export type Target =
  | { readonly portal: KnownPortal; readonly skipped?: string }
  | { readonly name: string; readonly error: BridgeError }

/** The application of a document; without a name the only one there is. Rejects with a `CommandError`. */
export async function applicationOf(
  store: Pick<SubscriptionStore, 'listApplications'>,
  document: Pick<SubscriptionDocument, 'application'>,
): Promise<string> {
  const known = (await store.listApplications()).map(({ clientId }) => clientId)
  const [only] = known
  const chosen = document.application ?? (known.length === 1 ? only : undefined)
  if (chosen !== undefined && known.includes(chosen)) return chosen
  const which = known.length === 0 ? 'No application is known.' : `Known are ${known.join(', ')}.`
  throw chosen === undefined
    ? new CommandError('APPLICATION_MISSING', 'The file must say which application it is for', {
        hint: `${which} Write application: and its client id into the file, or add one: \`b24-bridge apps add\`.`,
      })
    : new CommandError('APPLICATION_UNKNOWN', `The application ${chosen} is not known`, { hint: which })
}

/**
 * The portals of a document, one after another. Those that only `*` means are left out with a reason while nobody may
 * call them; those that are named fail instead.
 */
export async function* targetsOf(
  store: SubscriptionStore,
  { portals }: Pick<SubscriptionDocument, 'portals'>,
  clientId: string,
): AsyncGenerator<Target> {
  if (portals !== ALL_PORTALS) {
    const seen = new Set<string>()
    for (const name of portals) {
      const portal = await store.findPortal(name)
      if (portal === undefined) yield { name, error: unknown(name) }
      else if (seen.size < seen.add(portal.memberId).size) yield { portal }
    }
    return
  }
  for (let after = ''; ; ) {
    const page = await store.listInstalled(clientId, { after, limit: PAGE })
    for (const memberId of page) {
      const portal = await store.findPortal(memberId)
      if (portal === undefined) continue
      const tokens = (await store.listTokens(memberId)).filter((one) => one.clientId === clientId)
      const alive = tokens.some(({ state }) => state === 'active')
      if (alive) yield { portal }
      else yield { portal, skipped: tokens[0]?.reason ?? portal.reason ?? 'There are no tokens.' }
    }
    if (page.length < PAGE) return
    after = page.at(-1) ?? after
  }
}

/** True when a document is meant for a portal. */
export function isMeant(
  { portals }: Pick<SubscriptionDocument, 'portals'>,
  { memberId, domain, aliases }: Pick<KnownPortal, 'memberId' | 'domain' | 'aliases'>,
): boolean {
  if (portals === ALL_PORTALS) return true
  return portals.some((name) => name === memberId || name.toLowerCase() === domain || aliases.includes(name))
}

/**
 * Applies a document to all its portals, several at once; each report is handed on as it is there. One portal that
 * fails does not stop the others.
 */
export async function applyToAll(
  parts: ApplyParts,
  request: ApplyRequest,
  onReport: (report: PortalReport) => void,
  signal?: AbortSignal,
): Promise<void> {
  const { document, clientId, base, dryRun } = request
  if (!dryRun && document.portals === ALL_PORTALS) {
    await parts.store.saveApplied({
      memberId: ALL_PORTALS,
      clientId,
      base,
      document: JSON.stringify(document),
      remembered: '{}',
      appliedAt: parts.now(),
    })
  }
  const targets = targetsOf(parts.store, document, clientId)
  // One iterator for all: each takes the next portal when it is done with one.
  const work = async (): Promise<void> => {
    for await (const target of targets) {
      onReport(await reportOn(parts, target, request))
      if (signal?.aborted === true) return
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
}

async function reportOn(parts: ApplyParts, target: Target, request: ApplyRequest): Promise<PortalReport> {
  if ('error' in target) return { domain: target.name, actions: [], error: target.error }
  const { portal, skipped } = target
  if (skipped === undefined) return applyToPortal(parts, portal, request)
  return { memberId: portal.memberId, domain: portal.domain, actions: [], skipped }
}

function unknown(name: string): CommandError {
  return new CommandError('PORTAL_UNKNOWN', `No portal is known as ${JSON.stringify(name.slice(0, 100))}`, {
    status: 404,
    hint: '`b24-bridge portals list` shows them.',
  })
}
