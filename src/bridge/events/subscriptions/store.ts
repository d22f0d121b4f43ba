import type { Installation, KnownPortal } from '../../../model/portal.ts'
import type { TokenState } from '../../../model/token.ts'

/** What was applied to a portal last. */
export interface AppliedSubscriptions {
  /** `*` for the file that was last applied to all portals. */
  readonly memberId: string
  readonly clientId: string
  /** The document as JSON. */
  readonly document: string
  /** Public address under which the handlers were bound. */
  readonly base: string
  /** What is bound by us, as JSON: definitions by id, both as digests. */
  readonly remembered: string
  readonly appliedAt: number
}

/** What subscriptions need of a store. */
export interface SubscriptionStore {
  listApplications(): Promise<readonly { readonly clientId: string }[]>
  /** By member id, alias or domain. */
  findPortal(name: string): Promise<KnownPortal | undefined>
  listInstallations(memberId: string): Promise<readonly Installation[]>
  listTokens(memberId: string): Promise<readonly TokenState[]>
  /** Member ids of the portals on which an application lives, in their order. */
  listInstalled(
    clientId: string,
    page: { readonly after: string; readonly limit: number },
  ): Promise<readonly string[]>
  findApplied(memberId: string, clientId: string): Promise<AppliedSubscriptions | undefined>
  saveApplied(applied: AppliedSubscriptions): Promise<void>
  /** Offline handlers were bound or unbound: whoever drains their queues, in whatever process, is to look at them. */
  offlineChanged(memberId: string, clientId: string): Promise<void>
  /** The right to be the only process at it; gives it back. `undefined` while another has it. */
  claim(name: string): Promise<(() => Promise<void>) | undefined>
}

/** Stands for all portals where a member id is asked for. */
export const ALL_PORTALS = '*'
