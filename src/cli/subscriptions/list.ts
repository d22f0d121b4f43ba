import { isOurAddress } from '../../bridge/events/subscriptions/addresses.ts'
import type { ApplyParts } from '../../bridge/events/subscriptions/apply.ts'
import { openPortalClient } from '../../bridge/events/subscriptions/client.ts'
import type { Bound } from '../../bridge/events/subscriptions/kinds.ts'
import { applicationOf, type Target, targetsOf } from '../../bridge/events/subscriptions/many.ts'
import { subscriptionId } from '../../bridge/events/subscriptions/plan.ts'
import { readBindings } from '../../bridge/events/subscriptions/read.ts'
import type { AppliedSubscriptions } from '../../bridge/events/subscriptions/store.ts'
import type { Config } from '../../config/config.ts'
import { BridgeError } from '../../model/errors.ts'
import { withPortals } from '../portals/lanes.ts'
import type { Vault } from '../vault.ts'
import { applyParts } from './apply.ts'

/** Which portals are meant: those named, or all of an application. */
export interface WhichPortals {
  readonly names: readonly string[]
  readonly app?: string | undefined
}

/** What a portal has; with an error or a reason it was not asked. */
export interface PortalBindingList {
  readonly domain: string
  readonly memberId?: string
  readonly bound: readonly (Bound & { readonly ours: boolean })[]
  /** Methods of lists that were refused. */
  readonly refused: readonly string[]
  readonly error?: BridgeError
  readonly skipped?: string
}

/** Asks portals what is bound there, one after another. */
export function listBindings(
  from: { readonly config: Config; readonly cwd: string },
  vault: Vault,
  which: WhichPortals,
): Promise<PortalBindingList[]> {
  return withPortals(from, vault, async (tools) => {
    const parts = applyParts(vault, tools)
    const lists: PortalBindingList[] = []
    for await (const { target, clientId } of meant(parts, which))
      lists.push(await listOf(parts, from.config, target, clientId))
    return lists
  })
}

/** The portals that are meant, with the application. */
export async function* meant(
  { store }: Pick<ApplyParts, 'store'>,
  { names, app }: WhichPortals,
): AsyncGenerator<{ readonly target: Target; readonly clientId: string }> {
  const clientId = await applicationOf(store, { application: app })
  const portals = names.length === 0 ? '*' : [...names]
  for await (const target of targetsOf(store, { portals }, clientId)) yield { target, clientId }
}

/** True for what the bridge has bound itself. */
export function oursOf(
  { publicUrl }: Pick<Config, 'publicUrl'>,
  applied: AppliedSubscriptions | undefined,
): (one: Bound) => boolean {
  const bases = [publicUrl, applied?.base].filter((base) => base !== undefined)
  const remembered = JSON.parse(applied?.remembered ?? '{}') as Record<string, string>
  return (one) => {
    const { url } = one
    if (url !== undefined && bases.some((base) => isOurAddress(base, url))) return true
    return remembered[subscriptionId(one)] !== undefined
  }
}

async function listOf(
  parts: ApplyParts,
  config: Config,
  target: Target,
  clientId: string,
): Promise<PortalBindingList> {
  if ('error' in target) return { domain: target.name, bound: [], refused: [], error: target.error }
  const { portal, skipped } = target
  const { domain, memberId } = portal
  if (skipped !== undefined) return { domain, memberId, bound: [], refused: [], skipped }
  try {
    const client = await openPortalClient(parts, portal, clientId)
    const { bound, refused } = await readBindings(client)
    const isOurs = oursOf(config, await parts.store.findApplied(memberId, clientId))
    const newer = new Set(bound.filter(({ kind }) => kind === 'bot.v2').map(({ id }) => id))
    return {
      domain,
      memberId,
      // Bots of the second version stand in the list of the first one too.
      bound: bound
        .map((one) => ({ ...one, ours: isOurs(one) }))
        .filter(({ kind, id, ours }) => ours || kind !== 'bot' || !newer.has(id)),
      refused: [...refused.keys()],
    }
  } catch (error) {
    if (!(error instanceof BridgeError)) throw error
    return { domain, memberId, bound: [], refused: [], error }
  }
}
