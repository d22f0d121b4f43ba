import type { Leases } from '../offline/store.ts'

/** An application on a portal with bots whose events are to be fetched. */
export interface BotSource {
  readonly memberId: string
  readonly clientId: string
  /** Codes of those bots, in small letters. */
  readonly codes: readonly string[]
}

/** What fetching the events of bots needs of a store. */
export interface BotStore {
  readonly leases: Leases
  /** Where subscriptions say so, on portals that can be called. */
  sources(): Promise<readonly BotSource[]>
  /** Names of the leases below a prefix that somebody holds. */
  leased(prefix: string): Promise<ReadonlySet<string>>
}
