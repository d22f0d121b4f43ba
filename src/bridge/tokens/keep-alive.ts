import type { StoredTokens, TokenKey } from '../../model/token.ts'
import { named, type RenewalParts } from './parts.ts'

const LEASE_MS = 15 * 60_000
/** A run is short; the next one comes within the hour. */
const AT_ONCE = 100

/**
 * Renews pairs that nobody has used for so long that their refresh tokens come to their end: by one process at a time,
 * one after another, never those of a suspended portal.
 *
 * https://apidocs.bitrix24.com/settings/oauth/auto-renewal.html
 */
export async function keepAlive(
  parts: RenewalParts & { readonly refresh: (key: TokenKey) => Promise<StoredTokens> },
  idleMs: number,
  closed: () => boolean,
): Promise<void> {
  const { store, owner, now, log } = parts
  if (!(await store.lease('token-keep-alive', owner, LEASE_MS))) return
  const until = now() + LEASE_MS
  for (const { memberId, clientId, userId } of await store.idle({
    renewedBefore: now() - idleMs,
    limit: AT_ONCE,
  })) {
    if (closed() || now() >= until) return
    const portal = await store.portal(memberId)
    if (portal === undefined || portal.state === 'suspended') continue
    const key = { memberId, clientId, userId }
    await parts.refresh(key).catch((error: unknown) => log('token.idle', { ...named(key), err: error }))
  }
}
