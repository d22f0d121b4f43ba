import type { Leases } from '../offline/store.ts'

/** An event has told of an object. */
export interface Arrival {
  readonly memberId: string
  /** Name of a `ScanEntity`. */
  readonly entity: string
  readonly objectId: string
  readonly act: 'add' | 'change'
  /** By the portal's clock: milliseconds since 1970. */
  readonly happenedAt: number
}

/** What looking for events that never arrived needs of a store. */
export interface ScanStore {
  /** Member ids of the portals that are to be looked at. */
  portals(): Promise<string[]>
  readonly leases: Leases
  cursor(name: string): Promise<{ readonly value: string; readonly updatedAt: number } | undefined>
  saveCursor(name: string, value: string): Promise<void>
  /** Notes arrivals; the same one any number of times. */
  note(arrivals: readonly Arrival[]): Promise<void>
  /** What is noted of these objects, by all processes. */
  arrivals(about: {
    readonly memberId: string
    readonly entity: string
    readonly ids: readonly string[]
  }): Promise<Arrival[]>
  /** Forgets what was noted before a moment. */
  forget(before: number): Promise<void>
}
