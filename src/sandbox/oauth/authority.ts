import type { Credential } from '../credentials.ts'
import { systemFault } from '../errors.ts'
import type { Settings } from '../options.ts'
import type { Portal } from '../portal.ts'
import { Applications } from './applications.ts'
import { ACCESS_SECONDS, type Grant, Grants, type Pair } from './grants.ts'
import { type OauthStats, OauthTally } from './tally.ts'

/** Where the authorization server is reached. */
export interface AuthorityAddress {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string
  /** True when portals answer at the same port. */
  readonly shared: boolean
}

/** A good answer of the token endpoint. https://apidocs.bitrix24.com/settings/oauth/index.html */
export interface TokenAnswer {
  readonly access_token: string
  readonly expires?: number
  readonly expires_in: number
  readonly scope: string
  /** The authorization server's, not the portal's. */
  readonly domain: string
  readonly server_endpoint: string
  readonly status: string
  readonly client_endpoint: string
  readonly member_id: string
  readonly user_id?: number
  readonly refresh_token: string
}

/** The authorization server: one for all portals, as in the cloud. */
export class Authority {
  readonly applications: Applications
  readonly grants: Grants
  readonly tally = new OauthTally()
  readonly url: string
  /** Host and port, as they stand in `server_domain`. */
  readonly domain: string
  readonly restUrl: string
  readonly shared: boolean
  readonly settings: Settings
  readonly now: () => number

  constructor(settings: Settings, now: () => number, address: AuthorityAddress) {
    this.settings = settings
    this.now = now
    this.url = address.url
    this.shared = address.shared
    this.domain = new URL(address.url).host
    this.restUrl = `${address.url}/rest/`
    this.applications = new Applications(settings.applications)
    this.grants = new Grants(settings.switches)
  }

  /** A code for the browser to carry to the application. */
  issueCode(grant: Grant): string {
    this.tally.codesIssued += 1
    grant.installation.portal.oauthTally.codesIssued += 1
    return this.grants.issueCode(grant, this.now())
  }

  /**
   * Who calls a portal with this access token; `undefined` when nobody gave it out for this portal. Throws when it
   * has run out, was replaced, or its application is not paid for.
   */
  authenticate(portal: Portal, token: string): Credential | undefined {
    const pair = this.grants.byAccess(token)
    if (pair === undefined || pair.grant.installation.portal !== portal || pair.accessState === 'killed')
      return undefined
    return this.credentialOf(pair)
  }

  /** The same for a token of any portal. */
  credentialOf(pair: Pair): Credential {
    const { installation, userId } = pair.grant
    if (pair.accessState === 'replaced') throw systemFault(this.settings.switches.replacedToken)
    if (this.now() >= pair.expiresAtMs) throw systemFault('expired_token')
    if (!installation.paid) throw systemFault('PAYMENT_REQUIRED')
    return {
      key: installation.application.clientId,
      kind: 'application',
      userId,
      scopes: installation.scopes,
      expired: false,
      installation,
      expiresAtMs: pair.expiresAtMs,
      rounds: pair.rounds,
    }
  }

  /** Makes an access token run out now. */
  expire(token: string): void {
    const pair = this.grants.byAccess(token)
    if (pair !== undefined) pair.expiresAtMs = this.now()
  }

  answerOf(pair: Pair): TokenAnswer {
    const { installation, userId } = pair.grant
    const { portal, application } = installation
    const sparse = this.settings.switches.sparseTokens
    return {
      access_token: pair.access,
      ...(sparse ? {} : { expires: Math.floor(pair.expiresAtMs / 1000) }),
      expires_in: ACCESS_SECONDS,
      scope: [...installation.scopes].join(','),
      domain: this.domain,
      server_endpoint: this.restUrl,
      status: application.status,
      client_endpoint: portal.restUrl,
      member_id: portal.memberId,
      ...(sparse ? {} : { user_id: userId }),
      refresh_token: pair.refresh,
    }
  }

  /** What was done for one portal, or without one for all, requests included that belong to no portal. */
  stats(portal?: Portal): OauthStats {
    const { codesIssued, exchanges, refreshes } = portal?.oauthTally ?? this.tally
    const alive = this.grants.alive(
      this.now(),
      ({ grant }) => portal === undefined || grant.installation.portal === portal,
    )
    return {
      codesIssued,
      exchanges: { ...exchanges },
      refreshes: { ...refreshes },
      accessTokensAlive: alive.access,
      refreshTokensAlive: alive.refresh,
    }
  }
}
