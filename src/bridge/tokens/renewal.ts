import { setTimeout as sleep } from 'node:timers/promises'
import type { TokenGrant } from '../../client/oauth.ts'
import { RestError } from '../../model/errors.ts'
import type { StoredTokens, TokenKey, TokenPair } from '../../model/token.ts'
import { named, type RenewalParts } from './parts.ts'
import { notSent, type Reason, reasonOf, refusal, stillRenewing, stopped } from './reasons.ts'
import { replaySpool } from './replay.ts'

/** A token with less life than this is renewed before it is used. */
export const SPARE_MS = 60_000
/** Other processes are awaited a little longer than they may take. */
const WAIT_BEYOND_LEASE_MS = 5000

/**
 * Tokens newer than the version that was seen. One process at a time asks the authorization server; the others wait for
 * its pair. The new pair is on our disk, then in the store, and only then used. What a crash leaves at each step:
 *
 * | it stops | and then |
 * | --- | --- |
 * | before the server is asked | the right runs out; the next one asks |
 * | before the pair is on the disk | the next one asks with the old token; when that is dead: orphans, spare chain |
 * | before the pair is in the store | the spool is replayed |
 * | before the spool is tidied | the replay stores the same pair again |
 *
 * Rejects with an `AuthError` when these tokens are lost (they are marked dead by then, and the portal is suspended when
 * it has no other), else with a `TransportError` that says `sent: false`: the call was not made.
 */
export async function renewTokens(parts: RenewalParts, key: TokenKey, seen: number): Promise<StoredTokens> {
  const { store, owner, now, leaseMs } = parts
  const until = now() + leaseMs + WAIT_BEYOND_LEASE_MS
  for (let waitMs = 25; now() < until; waitMs = Math.min(500, waitMs * 2)) {
    const current = await store.find(key)
    if (current === undefined) throw stopped('TOKENS_MISSING', undefined, key.memberId)
    if (current.state === 'dead') throw await stoppedError(parts, key, current.reason)
    if (current.version > seen && !isOld(current, now())) return current
    if (current.refreshToken === undefined) {
      const reason = { text: 'no_refresh_token', lost: true }
      throw await giveUp(parts, key, { version: current.version, reason })
    }
    // Whoever had the right has not come back: what it left on this machine comes first.
    const abandoned = current.leaseUntil !== undefined && current.leaseUntil <= now()
    if (abandoned && (await replaySpool(parts, key)) > 0) continue
    const claim = await store.claim(key, { version: current.version, owner, ttlMs: leaseMs })
    if (claim === undefined) {
      await sleep(waitMs)
      continue
    }
    await renewClaimed(parts, key, { ...claim, version: current.version })
  }
  throw stillRenewing()
}

/** True when the token has less than a minute left, as far as we know. */
export function isOld(tokens: Pick<StoredTokens, 'expiresAt'>, now: number): boolean {
  return tokens.expiresAt !== undefined && tokens.expiresAt - now < SPARE_MS
}

interface Claim {
  readonly epoch: number
  readonly refreshToken: string
  readonly version: number
}

/** Asks for the pair and keeps it; the caller reads it again, for it may be another's by then. */
async function renewClaimed(parts: RenewalParts, key: TokenKey, claim: Claim): Promise<void> {
  const { store, pauseMs } = parts
  let ask: (refreshToken: string) => Promise<TokenGrant>
  try {
    ask = await asker(parts, key)
    await keepGrant(parts, key, claim.epoch, await ask(claim.refreshToken))
    return
  } catch (error) {
    const reason = reasonOf(error)
    if (reason === undefined) {
      parts.onRefresh('failed')
      // What was given out and not stored is in the spool, which stores it under the right that we still hold.
      if (!(error instanceof NotStored))
        await store.release(key, { epoch: claim.epoch, pauseMs }).catch(() => {})
      throw notSent(error instanceof NotStored ? error.cause : error)
    }
    if (!reason.lost) {
      await store.release(key, { epoch: claim.epoch, pauseMs })
      throw await giveUp(parts, key, { reason })
    }
    await fromSpares(parts, key, claim, reason, ask!)
  }
}

/** The refresh token is dead: perhaps another process has a newer pair, or one was set aside for this day. */
async function fromSpares(
  parts: RenewalParts,
  key: TokenKey,
  claim: Claim,
  reason: Reason,
  ask: (refreshToken: string) => Promise<TokenGrant>,
): Promise<void> {
  const { store, pauseMs } = parts
  const current = await store.find(key)
  if (current === undefined || current.version !== claim.version) return
  await replaySpool(parts, key)
  for (const spare of await store.spares(key)) {
    if (spare.refreshToken === undefined) continue
    try {
      const grant = await ask(spare.refreshToken)
      // An event brought it, and said whose it was; nobody had proven that.
      if (grant.userId !== undefined && key.userId !== '' && grant.userId !== key.userId)
        throw strange('user')
      await keepGrant(parts, key, claim.epoch, grant)
      await store.dropSpare(spare.id)
      parts.log('token.revived', { ...named(key), from: spare.source })
      return
    } catch (error) {
      if (reasonOf(error)?.lost !== true && !isStrange(error)) {
        if (!(error instanceof NotStored))
          await store.release(key, { epoch: claim.epoch, pauseMs }).catch(() => {})
        throw notSent(error instanceof NotStored ? error.cause : error)
      }
      await store.dropSpare(spare.id)
    }
  }
  throw await giveUp(parts, key, { version: claim.version, reason })
}

async function asker(
  parts: RenewalParts,
  key: TokenKey,
): Promise<(refreshToken: string) => Promise<TokenGrant>> {
  const application = await parts.store.application(key.clientId)
  if (application === undefined) throw refusal('application_unknown', 'its id and secret are not stored')
  const portal = await parts.store.portal(key.memberId)
  const origin = portal?.serverEndpoint
  const server = parts.server(origin === '' ? undefined : origin)
  return async (refreshToken) => {
    const grant = await server.refresh(application, refreshToken)
    if (grant.memberId === key.memberId) return grant
    throw strange('portal')
  }
}

function strange(whose: 'portal' | 'user'): RestError {
  const code = `WRONG_${whose.toUpperCase()}`
  return new RestError(code, `the authorization server gave tokens of another ${whose}`, 403)
}

function isStrange(error: unknown): boolean {
  return error instanceof RestError && /^WRONG_(?:PORTAL|USER)$/.test(error.code)
}

/** The pair is given out, on our disk, and not in the store: it comes by the spool. */
class NotStored extends Error {}

async function keepGrant(
  parts: RenewalParts,
  key: TokenKey,
  epoch: number,
  grant: TokenGrant,
): Promise<void> {
  const { store, spool, now } = parts
  const pair = pairOf(grant)
  const id = await spool.add({ key, epoch, pair })
  let outcome: 'stored' | 'orphaned'
  try {
    outcome = await store.storeRenewed(key, { epoch, pair, now: now() })
  } catch (error) {
    throw new NotStored('not stored', { cause: error })
  }
  await spool.remove(id).catch((error) => parts.log('token.spool', { err: error }))
  parts.onRefresh('refreshed')
  parts.log('token.refreshed', { ...named(key), outcome, expiresAt: pair.expiresAt })
  await seePortal(parts, key, grant)
}

/** A grant tells where the portal is today, and that it is alive. */
async function seePortal({ store, now, log }: RenewalParts, key: TokenKey, grant: TokenGrant): Promise<void> {
  try {
    const known = await store.portal(key.memberId)
    if (known === undefined) return
    const { clientEndpoint } = grant
    if (URL.canParse(clientEndpoint) && clientEndpoint !== known.clientEndpoint) {
      const { host } = new URL(clientEndpoint)
      await store.savePortal({ memberId: key.memberId, domain: host, clientEndpoint }, now())
    }
    if (known.state === 'suspended') {
      await store.resume(key.memberId, now())
      log('portal.resumed', { portal: known.domain, member: key.memberId })
    }
  } catch (error) {
    log('portal.unsaved', { err: error, member: key.memberId })
  }
}

/** Writes down that these tokens are no use, and that the portal is not when it has no others. Gives the error to throw. */
async function giveUp(
  parts: RenewalParts,
  key: TokenKey,
  { version, reason }: { readonly version?: number; readonly reason: Reason },
): Promise<Error> {
  const { store, now } = parts
  const { text, nextTryMs } = reason
  if (version !== undefined) {
    // Somebody brought a new pair in this moment: nothing is lost.
    if (!(await store.markDead(key, { version, reason: text }))) return stillRenewing()
    parts.log('token.dead', { ...named(key), reason: text })
  }
  parts.onRefresh('suspended')
  const left = await store.others(key, version === undefined ? 'application' : 'user')
  if (left === 0) {
    const nextTry = nextTryMs === undefined ? {} : { nextTry: now() + nextTryMs }
    await store.suspend(key.memberId, { reason: text, now: now(), ...nextTry })
    parts.log('portal.suspended', { member: key.memberId, reason: text, ...nextTry })
  }
  return stoppedError(parts, key, text)
}

async function stoppedError(
  { store }: RenewalParts,
  key: TokenKey,
  reason: string | undefined,
): Promise<Error> {
  const portal = await store.portal(key.memberId)
  const code = portal?.state === 'suspended' ? 'PORTAL_SUSPENDED' : 'TOKENS_DEAD'
  return stopped(code, reason, portal?.domain ?? key.memberId)
}

function pairOf({ accessToken, refreshToken, expiresAt, scope, status }: TokenGrant): TokenPair {
  return {
    accessToken,
    refreshToken,
    expiresAt,
    ...(scope.length > 0 && { scope }),
    ...(status !== '' && { status }),
  }
}
