import { randomBytes } from 'node:crypto'
import type { Installation } from '../apps/installations.ts'
import type { OauthHabits } from './habits.ts'

/** Seconds that an access token and a code live. https://apidocs.bitrix24.com/settings/oauth/index.html */
export const ACCESS_SECONDS = 3600
const CODE_SECONDS = 30

/** What a user let an application do. Each grant starts a chain of token pairs of its own. */
export interface Grant {
  readonly installation: Installation
  readonly userId: number
}

/** An access token and the refresh token given out with it. */
export interface Pair {
  readonly grant: Grant
  readonly access: string
  readonly refresh: string
  readonly refreshUntilMs: number
  /** How many rounds of event and call the access token still allows, when an event brought it. */
  readonly rounds?: number
  /** When the access token runs out. */
  expiresAtMs: number
  /** Replaced: a newer pair of its chain took its place. Killed: the application was uninstalled. */
  accessState: 'live' | 'replaced' | 'killed'
  refreshLive: boolean
}

/**
 * Codes and tokens of all portals.
 *
 * A code lives 30 seconds and is taken once. A pair is renewed by its refresh token; what dies then is a habit.
 * Uninstalling kills every pair of the installation. Tokens that died are remembered, so that they can be told
 * from those that nobody gave out.
 *
 * https://apidocs.bitrix24.com/settings/oauth/auto-renewal.html
 */
export class Grants {
  readonly #codes = new Map<string, { readonly grant: Grant; readonly untilMs: number }>()
  readonly #byAccess = new Map<string, Pair>()
  readonly #byRefresh = new Map<string, Pair>()
  readonly #habits: OauthHabits

  constructor(habits: OauthHabits) {
    this.#habits = habits
  }

  issueCode(grant: Grant, nowMs: number): string {
    const code = randomBytes(16).toString('hex')
    this.#codes.set(code, { grant, untilMs: nowMs + CODE_SECONDS * 1000 })
    return code
  }

  /** The grant behind a code, which is used up by this; `undefined` when it is unknown, used or too old. */
  takeCode(code: string, nowMs: number): Grant | undefined {
    const known = this.#codes.get(code)
    this.#codes.delete(code)
    return known === undefined || nowMs > known.untilMs ? undefined : known.grant
  }

  /** The first pair of a new chain; one that goes out in an event has a number of rounds. */
  start(grant: Grant, nowMs: number, rounds?: number): Pair {
    const pair: Pair = {
      grant,
      access: randomBytes(35).toString('hex'),
      refresh: randomBytes(35).toString('hex'),
      expiresAtMs: nowMs + ACCESS_SECONDS * 1000,
      refreshUntilMs: nowMs + this.#habits.refreshDays * 86_400_000,
      accessState: 'live',
      refreshLive: true,
      ...(rounds === undefined ? {} : { rounds }),
    }
    this.#byAccess.set(pair.access, pair)
    this.#byRefresh.set(pair.refresh, pair)
    return pair
  }

  /** The pair that comes after a living one. */
  renew(pair: Pair, nowMs: number): Pair {
    const { afterRefresh } = this.#habits
    if (afterRefresh === 'pair-dies') pair.accessState = 'replaced'
    if (afterRefresh !== 'pair-lives') pair.refreshLive = false
    return this.start(pair.grant, nowMs)
  }

  byAccess(token: string): Pair | undefined {
    return this.#byAccess.get(token)
  }

  byRefresh(token: string): Pair | undefined {
    return this.#byRefresh.get(token)
  }

  /** Ends every code and token of an installation. */
  kill(installation: Installation): void {
    for (const [code, { grant }] of this.#codes)
      if (grant.installation === installation) this.#codes.delete(code)
    for (const pair of this.#byAccess.values()) {
      if (pair.grant.installation !== installation) continue
      pair.accessState = 'killed'
      pair.refreshLive = false
    }
  }

  /** How many tokens would be accepted now, of the pairs that `counted` picks. */
  alive(nowMs: number, counted: (pair: Pair) => boolean): { access: number; refresh: number } {
    let access = 0
    let refresh = 0
    for (const pair of this.#byAccess.values()) {
      if (!counted(pair)) continue
      if (pair.accessState === 'live' && nowMs < pair.expiresAtMs) access += 1
      if (isRenewable(pair, nowMs)) refresh += 1
    }
    return { access, refresh }
  }
}

/** True while the pair's refresh token is good for a new pair. */
export function isRenewable(pair: Pair, nowMs: number): boolean {
  return pair.refreshLive && nowMs < pair.refreshUntilMs
}
