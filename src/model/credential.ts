/** What goes with one request to prove who asks. Holds a secret: never log it. */
export interface Authorization {
  /** The path in front of the method's name: `/rest/1/abc123/` for a webhook, `/rest/` with a token. */
  readonly base: string
  /** Parameters that go along with those of the method: `{ auth: token }`; empty for a webhook. */
  readonly params: Readonly<Record<string, string>>
}

/**
 * In whose name calls are made: an incoming webhook, or a user of an application with tokens that renew themselves.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/authorization.html
 */
export interface Credential {
  /** Scheme, host and port of the portal: `https://example.bitrix24.com`. */
  readonly origin: string
  /** Host and port, lower case. */
  readonly domain: string
  /** Calls of equal keys may share a request and count into the same operating budget. May hold a secret. */
  readonly key: string
  /** What to send now. Rejects with an `AuthError` when nobody may call in this name any more. */
  authorize(): Authorization | Promise<Authorization>
  /**
   * The portal says that what was sent has expired. Resolves to true when `authorize` has something newer, so that the
   * request may be sent once more: it was refused before it ran. Absent where nothing can be renewed.
   */
  renew?(expired: Authorization): Promise<boolean>
}
