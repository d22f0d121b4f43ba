import { systemFault } from './errors.ts'

/** Who a call comes from and what it may do. */
export interface Credential {
  /** The webhook's secret or the access token; operating time is counted by it. */
  readonly key: string
  readonly kind: 'webhook' | 'application'
  readonly userId: number
  scopes: ReadonlySet<string>
  overloaded: boolean
  expired: boolean
}

/** What a request brought to prove who it is. */
export interface Proof {
  readonly userId?: string
  readonly secret?: string
  readonly token?: string
}

/** Scopes that the sandbox knows, all granted from the start. */
export const SCOPES = ['crm', 'department', 'lists', 'task', 'user']

/** The secret of the webhook that every portal has: `/rest/1/s3cr3t/`. */
export const WEBHOOK_SECRET = 's3cr3t'

/** The access token that every portal accepts from its one application. */
export const ACCESS_TOKEN = 'sandbox-access-token'

/** An access token that has run out. */
const EXPIRED_TOKEN = 'sandbox-expired-token'

/** The webhooks and access tokens of a portal. */
export class Credentials {
  readonly #known = new Map<string, Credential>()

  constructor() {
    this.#add('webhook', WEBHOOK_SECRET)
    this.#add('application', ACCESS_TOKEN)
    this.#add('application', EXPIRED_TOKEN).expired = true
  }

  /**
   * Finds out who is calling. Throws `NO_AUTH_FOUND` without any proof, `INVALID_CREDENTIALS` for a wrong webhook,
   * `expired_token` or the answer chosen by a switch for a bad token.
   *
   * https://apidocs.bitrix24.com/error-codes.html
   */
  authenticate(proof: Proof, unknownToken: 'invalid_token' | 'NO_AUTH_FOUND'): Credential {
    if (proof.secret !== undefined) {
      const webhook = this.#known.get(proof.secret)
      if (webhook?.kind !== 'webhook' || String(webhook.userId) !== proof.userId)
        throw systemFault('INVALID_CREDENTIALS')
      return webhook
    }
    if (proof.token === undefined || proof.token === '') throw systemFault('NO_AUTH_FOUND')
    const token = this.#known.get(proof.token)
    if (token?.kind !== 'application') throw systemFault(unknownToken)
    if (token.expired) throw systemFault('expired_token')
    return token
  }

  grant(key: string, scopes: readonly string[]): void {
    const known = this.#known.get(key) ?? this.#add('webhook', key)
    known.scopes = new Set(scopes)
  }

  expire(token: string): void {
    const known = this.#known.get(token)
    if (known !== undefined) known.expired = true
  }

  overload(keys: readonly string[]): void {
    for (const [key, credential] of this.#known) credential.overloaded = keys.includes(key)
  }

  #add(kind: Credential['kind'], key: string): Credential {
    const made: Credential = {
      key,
      kind,
      userId: 1,
      scopes: new Set(SCOPES),
      overloaded: false,
      expired: false,
    }
    this.#known.set(key, made)
    return made
  }
}
