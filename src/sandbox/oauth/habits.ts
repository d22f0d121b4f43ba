/** Points of the authorization server and of applications on which the documentation is silent or differs. */
export interface OauthHabits {
  /** Days that a refresh token lives: 180 by the documentation, 28 by the older course. */
  readonly refreshDays: number
  /** What becomes of the old pair when it is renewed: both tokens die, the access token lives on, or both do. */
  readonly afterRefresh: 'pair-dies' | 'access-lives' | 'pair-lives'
  /** What an access token that died by a renewal is answered with. */
  readonly replacedToken: 'expired_token' | 'invalid_token' | 'NO_AUTH_FOUND'
  /** A client secret that does not match: 200 `wrong_client`, or 400 `invalid_client`. */
  readonly wrongSecret: 'wrong_client' | 'invalid_client'
  /** Token answers come without `expires` and `user_id`. */
  readonly sparseTokens: boolean
  /** `/oauth/authorize/` sends the browser back at once instead of asking. */
  readonly autoConsent: boolean
  /** Application pages get `SERVER_ENDPOINT`, `APPLICATION_TOKEN` and `APPLICATION_SCOPE`; older portals send none. */
  readonly newFrameFields: boolean
  /** `auth` of a text message that nobody wrote: nothing at all, or what tells the application and the portal. */
  readonly messagesWithoutAuthor: 'empty' | 'application-token'
}

/** The likelier choice of each. */
export const USUAL_OAUTH: OauthHabits = {
  refreshDays: 180,
  afterRefresh: 'pair-dies',
  replacedToken: 'expired_token',
  wrongSecret: 'wrong_client',
  sparseTokens: false,
  autoConsent: false,
  newFrameFields: true,
  messagesWithoutAuthor: 'empty',
}
