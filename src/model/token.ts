/** Whose tokens: a user of an application on a portal. The user is empty where it is not known. */
export interface TokenKey {
  readonly memberId: string
  readonly clientId: string
  readonly userId: string
}

/** The pair, as the authorization server or an installation gives it. */
export interface TokenPair {
  readonly accessToken: string
  /** Absent where only an access token was given. */
  readonly refreshToken?: string
  /** Milliseconds since 1970; absent where it is not known: then the portal says when it has expired. */
  readonly expiresAt?: number
  readonly scope?: readonly string[]
  /** Status letter of the application. */
  readonly status?: string
}

/** What may be shown of tokens: everything but the pair. */
export interface TokenState extends TokenKey {
  readonly hasRefreshToken: boolean
  readonly expiresAt?: number
  readonly scope: readonly string[]
  readonly status?: string
  /** Came with a page that the user opened: for calls in his own name only. */
  readonly visitor?: true
  /** Rises with every new pair. */
  readonly version: number
  /** `dead`: the refresh token was refused; somebody must authorize again. */
  readonly state: 'active' | 'dead'
  readonly reason?: string
  /** Somebody is renewing it until then. */
  readonly leaseUntil?: number
  readonly createdAt: number
  /** When the pair was given. */
  readonly renewedAt: number
}

/** Tokens as the store keeps them. */
export interface StoredTokens extends TokenState, Pick<TokenPair, 'accessToken' | 'refreshToken'> {}

/** A pair that is not in use: one that came too late to be stored, or a second chain that an event brought. */
export interface SpareTokens extends TokenKey {
  readonly id: string
  /** `access`: an hour's token of a user who has no pair; see `docs/events.md`. */
  readonly source: 'orphan' | 'event' | 'access'
  readonly accessToken: string
  readonly refreshToken?: string
  readonly expiresAt?: number
  readonly createdAt: number
}
