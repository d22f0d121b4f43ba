import type { Installation } from './apps/installations.ts'
import { systemFault } from './errors.ts'

/** Who a call comes from and what it may do. */
export interface Credential {
  /** The webhook's secret, the fixed access token or the client id; operating time is counted by it. */
  readonly key: string
  readonly kind: 'webhook' | 'application'
  readonly userId: number
  scopes: ReadonlySet<string>
  expired: boolean
  /** The application that calls; webhooks have none. */
  readonly installation?: Installation | undefined
  /** Missing when it does not run out. */
  readonly expiresAtMs?: number
  /** How many rounds of event and call it still allows, when an event brought it. */
  readonly rounds?: number | undefined
}

/** What a request brought to prove who it is. */
export interface Proof {
  readonly userId?: string
  readonly secret?: string
  readonly token?: string
}

/** Scopes that the sandbox knows, all granted from the start. */
export const SCOPES = [
  'bizproc',
  'crm',
  'department',
  'im',
  'imbot',
  'imconnector',
  'imopenlines',
  'lists',
  'main',
  'messageservice',
  'placement',
  'pull',
  'task',
  'telephony',
  'user',
]

/** The secret of the webhook that every portal has: `/rest/1/s3cr3t/`. */
export const WEBHOOK_SECRET = 's3cr3t'

/** The access token that every portal accepts from its one application. */
export const ACCESS_TOKEN = 'sandbox-access-token'

/** An access token that has run out. */
const EXPIRED_TOKEN = 'sandbox-expired-token'

/** What the credentials of a portal are told of its applications. */
export interface TokenSource {
  /** The application that the fixed tokens belong to. */
  readonly own: Installation | undefined
  /** Who a token stands for; `undefined` when nobody gave it out. Throws when it is no longer good. */
  authenticate(token: string): Credential | undefined
  expire(token: string): void
  find(clientId: string): Installation | undefined
}

/** The webhooks and access tokens of a portal. */
export class Credentials {
  readonly #known = new Map<string, Credential>()
  readonly #source: TokenSource
  #overloaded: readonly string[] = []

  constructor(source: TokenSource) {
    this.#source = source
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
    const fixed = this.#known.get(proof.token)
    const token = fixed?.kind === 'application' ? fixed : this.#source.authenticate(proof.token)
    if (token === undefined) throw systemFault(unknownToken)
    if (token.expired) throw systemFault('expired_token')
    return token
  }

  /** Sets the scopes of a webhook, a fixed token or, by its client id, an application. */
  grant(key: string, scopes: readonly string[]): void {
    const installation = this.#source.find(key)
    if (installation !== undefined) {
      installation.scopes = new Set(scopes)
      return
    }
    const known = this.#known.get(key) ?? this.#add('webhook', key)
    known.scopes = new Set(scopes)
  }

  expire(token: string): void {
    const known = this.#known.get(token)
    if (known === undefined) this.#source.expire(token)
    else known.expired = true
  }

  overload(keys: readonly string[]): void {
    this.#overloaded = keys
  }

  isOverloaded({ key }: Credential): boolean {
    return this.#overloaded.includes(key)
  }

  #add(kind: Credential['kind'], key: string): Credential {
    const made: Credential = {
      key,
      kind,
      userId: 1,
      scopes: new Set(SCOPES),
      expired: false,
      installation: kind === 'application' ? this.#source.own : undefined,
    }
    this.#known.set(key, made)
    return made
  }
}
