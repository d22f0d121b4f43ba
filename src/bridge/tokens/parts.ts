import type { AuthorizationServer } from '../../client/oauth.ts'
import type { TokenKey } from '../../model/token.ts'
import type { Spool } from './spool.ts'
import type { TokenStore } from './store.ts'

/** What a renewal is made of. */
export interface RenewalParts {
  readonly store: TokenStore
  readonly spool: Spool
  /** The authorization server at an origin, or the cloud's. Throws for one that nobody allowed. */
  readonly server: (origin: string | undefined) => AuthorizationServer
  /** This process. */
  readonly owner: string
  readonly now: () => number
  /** How long the right to renew is held at most. */
  readonly leaseMs: number
  /** Nobody tries again before, after a failure. */
  readonly pauseMs: number
  /** How the renewal ended; for metrics. */
  readonly onRefresh: (outcome: 'refreshed' | 'failed' | 'suspended') => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Whose tokens, for logs. */
export function named({ memberId, clientId, userId }: TokenKey): Record<string, string> {
  return { member: memberId, application: clientId, user: userId }
}
