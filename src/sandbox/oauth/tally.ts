/** What the authorization server has done, for one portal or in all. */
export interface OauthStats {
  readonly codesIssued: number
  /** Requests with `grant_type=authorization_code`: `ok`, or the error code, and how often. */
  readonly exchanges: Readonly<Record<string, number>>
  /** Requests with `grant_type=refresh_token`: `ok`, or the error code, and how often. */
  readonly refreshes: Readonly<Record<string, number>>
  /** Tokens that would be accepted now. */
  readonly accessTokensAlive: number
  readonly refreshTokensAlive: number
}

/** Counts codes and token requests. */
export class OauthTally {
  codesIssued = 0
  readonly exchanges: Record<string, number> = {}
  readonly refreshes: Record<string, number> = {}

  note(grantType: string, result: string): void {
    const counts = grantType === 'refresh_token' ? this.refreshes : this.exchanges
    counts[result] = (counts[result] ?? 0) + 1
  }
}
