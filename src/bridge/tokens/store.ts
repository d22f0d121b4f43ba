import type { KnownPortal, Portal } from '../../model/portal.ts'
import type { SpareTokens, StoredTokens, TokenKey, TokenPair, TokenState } from '../../model/token.ts'

/** What the keeper of tokens needs of a store; several processes may share one. */
export interface TokenStore {
  find(key: TokenKey): Promise<StoredTokens | undefined>
  /** Takes the right to renew the pair of this version; `undefined` when another has it, or the pair is newer. */
  claim(
    key: TokenKey,
    claim: { readonly version: number; readonly owner: string; readonly ttlMs: number },
  ): Promise<{ readonly epoch: number; readonly refreshToken: string } | undefined>
  /** `orphaned` when the right was lost meanwhile: then the pair is a spare one. */
  storeRenewed(
    key: TokenKey,
    renewed: { readonly epoch: number; readonly pair: TokenPair; readonly now: number },
  ): Promise<'stored' | 'orphaned'>
  /** Gives the right back; nobody gets it before the pause is over. */
  release(key: TokenKey, release: { readonly epoch: number; readonly pauseMs: number }): Promise<void>
  markDead(key: TokenKey, dead: { readonly version: number; readonly reason: string }): Promise<boolean>
  /** Puts a pair in the place of a dead one. */
  save(key: TokenKey, pair: TokenPair, now: number): Promise<void>
  spares(key: TokenKey): Promise<readonly SpareTokens[]>
  dropSpare(id: string): Promise<void>
  idle(which: { readonly renewedBefore: number; readonly limit: number }): Promise<readonly TokenState[]>
  application(
    clientId: string,
  ): Promise<{ readonly clientId: string; readonly clientSecret: string } | undefined>
  portal(memberId: string): Promise<KnownPortal | undefined>
  savePortal(portal: Portal, now: number): Promise<void>
  suspend(
    memberId: string,
    how: { readonly reason: string; readonly nextTry?: number; readonly now: number },
  ): Promise<unknown>
  resume(memberId: string, now: number): Promise<unknown>
  /** Credentials of the portal by which calls may go besides those of this application, or of this user of it. */
  others(key: TokenKey, besides: 'application' | 'user'): Promise<number>
  /** The right to be the only process doing something; false when another is. */
  lease(name: string, owner: string, ttlMs: number): Promise<boolean>
}
