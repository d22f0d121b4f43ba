import type { AuthorizationServer } from '../../client/oauth.ts'
import type { Authorization, Credential } from '../../model/credential.ts'
import { AuthError, type BridgeError } from '../../model/errors.ts'
import type { Portal } from '../../model/portal.ts'
import type { StoredTokens, TokenKey } from '../../model/token.ts'
import { keepAlive } from './keep-alive.ts'
import type { RenewalParts } from './parts.ts'
import { notSent } from './reasons.ts'
import { isOld, renewTokens } from './renewal.ts'
import { replaySpool } from './replay.ts'
import type { Spool } from './spool.ts'
import type { TokenStore } from './store.ts'

export interface TokenKeeperOptions {
  readonly store: TokenStore
  /** The authorization server at an origin, or the cloud's for `undefined`. Throws for one that nobody allowed. */
  readonly server: (origin: string | undefined) => AuthorizationServer
  readonly spool: Spool
  /** This process; different for each. */
  readonly owner: string
  readonly now: () => number
  /** How long the right to renew is held at most; 40,000. */
  readonly leaseMs?: number
  /** Nobody tries again before, after a failure; 30,000. */
  readonly pauseMs?: number
  /** How often the spool is looked at; 5000. */
  readonly replayMs?: number
  /** How often idle tokens are looked for; an hour. */
  readonly keepAliveMs?: number
  /** Days without a renewal after which a pair is renewed to keep it alive; 150 of 180. */
  readonly idleDays?: number
  readonly onRefresh?: RenewalParts['onRefresh']
  readonly log: RenewalParts['log']
}

/** Keeps the tokens of all portals alive and safe, together with the other processes at the store. */
export interface TokenKeeper {
  /**
   * Calls in the name of a user of an application. Does no I/O. The stored token is used until the portal refuses it or
   * its known end is near; then one renewal serves all callers, of all processes.
   */
  credentialFor(portal: Pick<Portal, 'clientEndpoint'>, key: TokenKey): Credential
  /** Renews now, because somebody wants it so. Rejects as `Credential.authorize`. */
  refresh(key: TokenKey): Promise<StoredTokens>
  /** Replays what a crash left in the spool, and from then on looks after spool and idle tokens. Twice is harmless. */
  start(): Promise<void>
  /** Ends the timers and waits for renewals under way. Twice is harmless. */
  close(): Promise<void>
}

/** What is known in this process of one pair. */
interface Entry {
  tokens: StoredTokens | undefined
  renewing: Promise<StoredTokens> | undefined
  /** The last failure, given to all who ask until then. */
  refused: { readonly error: BridgeError; readonly until: number } | undefined
  usedAt: number
}

/** Refusals are looked at again soon: somebody may have brought new tokens. */
const REFUSED_MS = 3000
const FORGET_MS = 10 * 60_000
const DAY_MS = 24 * 3_600_000

/** A keeper of tokens; it does nothing by itself before `start`. */
export function createTokenKeeper(options: TokenKeeperOptions): TokenKeeper {
  const { store, now, log, pauseMs = 30_000 } = options
  const parts: RenewalParts = {
    ...options,
    leaseMs: options.leaseMs ?? 40_000,
    pauseMs,
    onRefresh: options.onRefresh ?? (() => {}),
  }
  const entries = new Map<string, Entry>()
  const underWay = new Set<Promise<unknown>>()
  let timers: readonly NodeJS.Timeout[] = []
  let closed = false

  function entryOf(key: TokenKey): Entry {
    const id = JSON.stringify([key.memberId, key.clientId, key.userId])
    let entry = entries.get(id)
    if (entry === undefined) {
      entry = { tokens: undefined, renewing: undefined, refused: undefined, usedAt: 0 }
      entries.set(id, entry)
    }
    entry.usedAt = now()
    return entry
  }

  /** One renewal for all callers of this process. */
  function renewOnce(key: TokenKey, entry: Entry): Promise<StoredTokens> {
    if (entry.refused !== undefined && now() < entry.refused.until) return Promise.reject(entry.refused.error)
    entry.renewing ??= track(
      renewTokens(parts, key, entry.tokens?.version ?? 0).then(
        (tokens) => {
          entry.tokens = tokens
          entry.refused = undefined
          return tokens
        },
        (caught: unknown) => {
          const error = notSent(caught)
          const waitMs = error instanceof AuthError ? REFUSED_MS : PAUSED.has(error.code) ? pauseMs : 0
          // What is stored counts from then on, not what this process remembers.
          entry.tokens = undefined
          entry.refused = { error, until: now() + waitMs }
          throw error
        },
      ),
    ).finally(() => {
      entry.renewing = undefined
    })
    return entry.renewing
  }

  function read(key: TokenKey): Promise<StoredTokens | undefined> {
    return store.find(key).catch((error: unknown) => {
      throw notSent(error)
    })
  }

  async function current(key: TokenKey, entry: Entry): Promise<StoredTokens> {
    if (entry.tokens !== undefined && !isOld(entry.tokens, now())) return entry.tokens
    if (entry.renewing !== undefined) return entry.renewing
    const stored = await read(key)
    if (stored?.state === 'active' && !isOld(stored, now())) {
      entry.tokens = stored
      return stored
    }
    entry.tokens = stored
    return renewOnce(key, entry)
  }

  function track<T>(work: Promise<T>): Promise<T> {
    const ended: Promise<void> = work.then(
      () => void underWay.delete(ended),
      () => void underWay.delete(ended),
    )
    underWay.add(ended)
    return work
  }

  async function refresh(key: TokenKey): Promise<StoredTokens> {
    const entry = entryOf(key)
    entry.tokens = await read(key)
    entry.refused = undefined
    return renewOnce(key, entry)
  }

  function forgetIdle(): void {
    for (const [id, entry] of entries)
      if (entry.renewing === undefined && now() - entry.usedAt > FORGET_MS) entries.delete(id)
  }

  /** Every so often, one run at a time; failures are for the next run. */
  function every(ms: number, what: string, run: () => Promise<unknown>): NodeJS.Timeout {
    let running = false
    const timer = setInterval(() => {
      if (running) return
      running = true
      track(run().catch((error: unknown) => log(what, { err: error }))).finally(() => {
        running = false
      })
    }, ms)
    return timer.unref()
  }

  const alive = (): Promise<void> =>
    keepAlive({ ...parts, refresh }, (options.idleDays ?? 150) * DAY_MS, () => closed)

  return {
    credentialFor({ clientEndpoint }, key) {
      const { origin, host, pathname } = new URL(clientEndpoint)
      return {
        origin,
        domain: host,
        key: `${key.clientId} ${key.userId} ${key.memberId}`,
        async authorize(): Promise<Authorization> {
          const { accessToken } = await current(key, entryOf(key))
          return { base: pathname, params: { auth: accessToken } }
        },
        async renew(expired) {
          const entry = entryOf(key)
          if (entry.renewing !== undefined) await entry.renewing
          entry.tokens ??= await read(key)
          // Else another request, or another process, has renewed it while this one was under way.
          if (entry.tokens?.accessToken === expired.params.auth) await renewOnce(key, entry)
          return true
        },
      }
    },
    refresh,
    async start() {
      if (timers.length > 0 || closed) return
      timers = [
        every(options.replayMs ?? 5000, 'token.spool', () => replaySpool(parts)),
        every(options.keepAliveMs ?? 3_600_000, 'token.idle', alive),
        every(60_000, 'token.idle', async () => forgetIdle()),
      ]
      await replaySpool(parts).catch((error: unknown) => log('token.spool', { err: error }))
    },
    async close() {
      closed = true
      timers.forEach(clearInterval)
      await Promise.all(underWay)
    },
  }
}

/** Failures after which the authorization server is left in peace for a while. */
const PAUSED = new Set(['AUTH_SERVER_UNREACHABLE', 'UNEXPECTED_ANSWER'])
