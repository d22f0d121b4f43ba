import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { TokenKey, TokenPair } from '../../model/token.ts'
import type { Proven } from './verify.ts'

/** Where tokens go that come with events. */
export interface EventTokenStore {
  /** True when a pair of this user is stored. */
  hasPair(key: TokenKey): Promise<boolean>
  /** `event`: a second chain for the day when the one in use is lost. `access`: an hour's token of a user without a pair. */
  keep(key: TokenKey, source: 'event' | 'access', pair: TokenPair, now: number): Promise<void>
  /** Forgets access tokens whose time is over. */
  dropOld(now: number): Promise<void>
}

/** Keeps what events bring besides themselves. */
export interface Harvest {
  /** Returns at once. */
  take(from: Proven, form: JsonObject): void
  /** Waits for what is under way; the rest is dropped. Twice is harmless. */
  close(): Promise<void>
}

export interface HarvestOptions {
  readonly store: EventTokenStore
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

interface Found {
  readonly key: TokenKey
  readonly pair: TokenPair
}

/** A second chain is renewed this often at most; the portal sends one with every event of some kinds. */
const CHAIN_EVERY_MS = 24 * 3_600_000
/** Access tokens live an hour. */
const ACCESS_EVERY_MS = 30 * 60_000
const LONGEST_LIFE_MS = 24 * 3_600_000
const MOST_WAITING = 1000
const MOST_REMEMBERED = 20_000
const TIDY_EVERY_MS = 3_600_000

/**
 * Puts tokens of verified events into the store, beside the pairs that are in use and never in their place: a refresh
 * token as a second chain, an access token of a user who has no pair for calls in that user's name. One at a time, after
 * the event was answered; what does not fit into a short queue is left out, for the next event brings others.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export function createHarvest({ store, now, log }: HarvestOptions): Harvest {
  const kept = new Map<string, number>()
  const waiting: Found[] = []
  let working: Promise<void> | undefined
  let closed = false
  let tidiedAt = now()

  /** True once in a while for the same. */
  function isDue(name: string, everyMs: number): boolean {
    const before = kept.get(name)
    if (before !== undefined && now() - before < everyMs) return false
    kept.delete(name)
    kept.set(name, now())
    if (kept.size > MOST_REMEMBERED) kept.delete(kept.keys().next().value as string)
    return true
  }

  async function keep({ key, pair }: Found): Promise<void> {
    if (pair.refreshToken !== undefined) await store.keep(key, 'event', pair, now())
    if (await store.hasPair(key)) return
    const { refreshToken: _, ...access } = pair
    await store.keep(key, 'access', access, now())
  }

  async function work(): Promise<void> {
    for (let next = waiting.shift(); next !== undefined && !closed; next = waiting.shift()) {
      const { memberId, clientId, userId } = next.key
      await keep(next).catch((error: unknown) => {
        log('event.tokens', { member: memberId, application: clientId, user: userId, err: error })
      })
    }
    if (now() - tidiedAt < TIDY_EVERY_MS) return
    tidiedAt = now()
    await store.dropOld(now()).catch((error: unknown) => log('event.tokens', { err: error }))
  }

  return {
    take(from, form) {
      if (closed) return
      for (const found of tokensIn(from, form, now())) {
        const name = Object.values(found.key).join(' ')
        const chain = found.pair.refreshToken !== undefined && isDue(`chain ${name}`, CHAIN_EVERY_MS)
        const access = isDue(`access ${name}`, ACCESS_EVERY_MS)
        if ((!chain && !access) || waiting.length >= MOST_WAITING) continue
        const { refreshToken: _, ...withoutChain } = found.pair
        waiting.push(chain ? found : { ...found, pair: withoutChain })
      }
      if (waiting.length === 0) return
      working ??= work().finally(() => {
        working = undefined
      })
    },
    async close() {
      closed = true
      await working
    },
  }
}

/** The tokens of a form: of who caused the event, and of bots. */
export function tokensIn({ memberId, clientId }: Proven, form: JsonObject, now: number): Found[] {
  // An outgoing webhook has none.
  if (clientId === undefined) return []
  const data = isJsonObject(form.data) ? form.data : {}
  const bots = [data.BOT, data.COMMAND].flatMap((blocks) =>
    isJsonObject(blocks) ? Object.values(blocks) : [],
  )
  const second = isJsonObject(data.bot) ? [data.bot.auth] : []
  const found = new Map<string, Found>()
  for (const block of [form.auth, ...bots, ...second]) {
    const one = pairOf(block, now)
    if (one !== undefined && !found.has(one.userId))
      found.set(one.userId, { key: { memberId, clientId, userId: one.userId }, pair: one.pair })
  }
  return [...found.values()]
}

function pairOf(block: Json | undefined, now: number): { userId: string; pair: TokenPair } | undefined {
  if (!isJsonObject(block)) return undefined
  const { access_token: access, refresh_token: refresh, user_id: user, expires_in: lives, scope } = block
  if (!isToken(access) || typeof user !== 'string' || !/^[1-9]\d{0,19}$/.test(user)) return undefined
  const lifeMs = Number(lives) * 1000
  const lasts = lifeMs > 0 && lifeMs <= LONGEST_LIFE_MS ? lifeMs : 3_600_000
  return {
    userId: user,
    pair: {
      accessToken: access,
      ...(isToken(refresh) ? { refreshToken: refresh } : {}),
      expiresAt: now + lasts,
      ...(typeof scope === 'string' ? { scope: scope.split(/[\s,]+/).filter((word) => word !== '') } : {}),
    },
  }
}

function isToken(value: Json | undefined): value is string {
  return typeof value === 'string' && /^[\x21-\x7e]{16,1000}$/.test(value)
}
