import type { OfflineQueueKey } from './row.ts'

/** How a queue can be drained, as far as it is known. */
export type Scheme = 'reserve' | 'delete' | 'unknown'

/** A queue that is to be drained. */
export interface OfflinePump extends OfflineQueueKey {
  readonly scheme: Scheme
  /** Until when that is believed; milliseconds since 1970. */
  readonly schemeUntil: number
  readonly dueAt: number
  /** Looks in a row that found nothing. */
  readonly idlePolls: number
  /** Code of what keeps it from being drained. */
  readonly trouble?: string
}

/** An application on a portal. */
export interface OfflineSource {
  readonly memberId: string
  readonly clientId: string
}

/** A right that was taken; see the store's leases. */
export interface OfflineLease {
  readonly name: string
  readonly owner: string
  readonly fence: number
}

/** The rights to queues, shared by all processes. */
export interface Leases {
  take(request: {
    readonly name: string
    readonly owner: string
    readonly ttlMs: number
  }): Promise<OfflineLease | undefined>
  renew(lease: OfflineLease, ttlMs: number): Promise<OfflineLease | undefined>
  release(lease: OfflineLease): Promise<void>
}

/** What draining offline queues needs of a store. */
export interface OfflineStore {
  readonly leases: Leases
  /** Where only one process can be at the store: what another one was at before is free at once. */
  takeOver(): Promise<void>
  /** The queues of an application on a portal, or of all its applications. */
  pumps(
    source: Pick<OfflineSource, 'memberId'> & { readonly clientId?: string | undefined },
  ): Promise<readonly OfflinePump[]>
  /** How many queues there are, and how many of them are in trouble. */
  count(): Promise<{ readonly all: number; readonly troubled: number }>
  /**
   * Queues that are to be looked into by now, the longest overdue first. Each is given to one caller: it is due again
   * only after `holdMs`, or when it is saved.
   */
  claimDue(now: number, limit: number, holdMs: number): Promise<readonly OfflinePump[]>
  /** Writes how a look ended. One that was removed meanwhile stays removed. */
  save(pump: OfflinePump): Promise<void>
  /** The queues that an application has from now on: new ones are due at once, missing ones go when they were found empty. */
  replace(source: OfflineSource, connectors: readonly string[], now: number): Promise<void>
  /** Applications on portals, with tokens that work, whose handlers were not looked at since; the longest ago first. */
  claimUnseen(since: number, now: number, limit: number): Promise<readonly OfflineSource[]>
  /** The handlers were looked at. */
  see(source: OfflineSource, now: number): Promise<void>
  /** The handlers are to be looked at again at once. */
  unsee(source: OfflineSource): Promise<void>
}
