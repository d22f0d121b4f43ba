import type { PushKey } from './event.ts'

/** An application on a portal that may listen: it has the scope `pull`, and tokens that work. */
export interface PushInstallation extends PushKey {
  /** Rises when it was installed anew, or got other scopes. */
  readonly updatedAt: number
}

/** What listening needs of a store. All reject with a `StoreError`, or the database's error, while it is away. */
export interface PushStore {
  installations(): Promise<readonly PushInstallation[]>
  /** Names of the leases below a prefix that somebody holds, with the holder. */
  leased(prefix: string): Promise<ReadonlyMap<string, string>>
  /** Takes a lease that nobody holds; false while another one has it. */
  lease(name: string, owner: string, ttlMs: number): Promise<boolean>
  /** Holds all of an owner's leases below a prefix for longer. */
  renew(prefix: string, owner: string, ttlMs: number): Promise<void>
  release(name: string, owner: string): Promise<void>
  cursor(name: string): Promise<{ readonly value: string; readonly updatedAt: number } | undefined>
  saveCursor(name: string, cursor: { readonly value: string; readonly updatedAt: number }): Promise<void>
}
