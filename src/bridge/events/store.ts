import type { PortalEvent } from '../../model/event.ts'

/** What is known of a portal when an event claims to come from it. */
export interface PortalCard {
  readonly domain: string
  readonly state: 'active' | 'suspended'
  /** Fingerprints of its application tokens: of its applications, and of outgoing webhooks. */
  readonly tokens: readonly { readonly fingerprint: string; readonly clientId?: string }[]
}

/** What verifying events needs of a store. */
export interface PortalCards {
  /** `undefined` for a portal that is not known. */
  card(memberId: string): Promise<PortalCard | undefined>
  /** The fingerprint that an application token would have. */
  tokenFingerprint(memberId: string, token: string): string
  /** A signature under a key that never leaves the store and is the same for every process. */
  sign(text: string): string
}

/** An event that waits in the store for the broker. */
export interface SpooledEvent {
  /** Rises in the order in which they came. */
  readonly id: number
  readonly event: PortalEvent
}

/** What keeping events while the broker is away needs of a store. Rejects with a `StoreError` when it is away too. */
export interface EventSpoolStore {
  /** Appends in this order, in as few statements as can be. */
  append(events: readonly PortalEvent[]): Promise<void>
  /** The oldest ones, in order. */
  oldest(limit: number): Promise<SpooledEvent[]>
  remove(ids: readonly number[]): Promise<void>
  /** Removes an event by its key, after all. */
  removeKey(event: Pick<PortalEvent, 'memberId' | 'key'>): Promise<void>
  /** Portals of which something waits. */
  members(): Promise<string[]>
  /** How many wait, and since when the oldest. */
  size(): Promise<{ readonly count: number; readonly oldestAt?: number }>
  /** The right to be the only process that drains, for a while; its holder gets it again. */
  lease(owner: string, ttlMs: number): Promise<boolean>
  release(owner: string): Promise<void>
}
