import { createHash } from 'node:crypto'
import type { Call } from '../../../model/call.ts'
import type { Bound, SubscriptionKind } from './kinds.ts'
import type { Wanted } from './wanted.ts'

/**
 * What is to be done about one subscription.
 *
 * | act | means |
 * | --- | --- |
 * | `bind` | it is missing |
 * | `change` | it is there with another definition, or nobody remembers with which |
 * | `unbind` | the file has it no more, and it is ours |
 * | `keep` | it is as it should be |
 * | `foreign` | somebody else's: never touched |
 */
export interface Action {
  readonly act: 'bind' | 'change' | 'unbind' | 'keep' | 'foreign'
  readonly kind: SubscriptionKind
  readonly label: string
  /** What to call, in order; empty when nothing is to be done. */
  readonly calls: readonly Call[]
  /** Under what it is remembered. */
  readonly id: string
  /** What is remembered of it when it is done; absent for what is gone or foreign. */
  readonly definition?: string
}

/** What was applied before: definitions by id, both as digests. */
export type Remembered = Readonly<Record<string, string>>

/**
 * Compares what should be with what is. What is bound and not wanted counts as ours when its address is, or when it is
 * remembered. Removals come first, so that a placement that allows one handler has room for the new one. Pure.
 */
export function planSubscriptions(state: {
  readonly wanted: readonly Wanted[]
  readonly bound: readonly Bound[]
  readonly remembered: Remembered
  readonly isOurs: (url: string) => boolean
}): Action[] {
  const { wanted, bound, remembered, isOurs } = state
  const byId = new Map(bound.map((one) => [subscriptionId(one), one]))
  const wantedIds = new Set(wanted.map(subscriptionId))
  /** One bot stands in two lists. */
  const isKnownOtherwise = ({ kind, id }: Bound): boolean =>
    id !== undefined &&
    bound.some((other) => other.id === id && other.kind !== kind && wantedIds.has(subscriptionId(other)))
  const surplus = [...byId].flatMap(([id, one]): Action[] => {
    if (wantedIds.has(id) || isKnownOtherwise(one)) return []
    const { kind, label, url, unbind } = one
    const ours = remembered[id] !== undefined || (url !== undefined && isOurs(url))
    // That list names the bots of everybody.
    if (!ours && kind === 'bot') return []
    return [{ act: ours ? 'unbind' : 'foreign', kind, label, calls: ours ? [unbind] : [], id }]
  })
  const needed = wanted.map((one): Action => {
    const { kind, label, bind } = one
    const id = subscriptionId(one)
    const definition = digest(JSON.stringify(bind))
    const found = byId.get(id)
    const common = { kind, label, id, definition }
    if (found === undefined) return { ...common, act: 'bind', calls: [bind] }
    const known = remembered[id]
    // A plain one that nobody remembers had no options either, as far as its list tells.
    const same = known === definition || (known === undefined && one.plain === true)
    return same
      ? { ...common, act: 'keep', calls: [] }
      : { ...common, act: 'change', calls: one.change(found) }
  })
  return [...surplus, ...needed]
}

/** What is remembered after some of the actions were done and others failed. */
export function rememberedAfter(
  actions: readonly Action[],
  failed: ReadonlySet<Action>,
  before: Remembered,
): Remembered {
  const after: Record<string, string> = {}
  for (const action of actions) {
    const { id, act, definition } = action
    const value = failed.has(action) ? before[id] : definition
    if (act !== 'foreign' && value !== undefined) after[id] = value
  }
  return after
}

/** Under what a subscription is remembered. */
export function subscriptionId({ kind, key }: Pick<Bound, 'kind' | 'key'>): string {
  return `${kind}/${digest(key)}`
}

/** What an id that is remembered stands for. */
export function kindOf(id: string): SubscriptionKind {
  return id.slice(0, id.indexOf('/')) as SubscriptionKind
}

/** Addresses of handlers hold a key, so only digests are kept. */
function digest(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 24)
}
