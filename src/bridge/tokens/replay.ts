import type { TokenKey } from '../../model/token.ts'
import { named, type RenewalParts } from './parts.ts'
import type { SpooledPair } from './spool.ts'

/**
 * Brings the pairs in the spool into the store, after a crash or when the store is back. A pair whose right was lost
 * becomes a spare one, and takes the place of a dead one at once. The same pair twice is harmless. Rejects when the
 * store is away; what is left is for the next time. Gives how many there were, of one user or of all.
 */
export async function replaySpool(parts: RenewalParts, only?: TokenKey): Promise<number> {
  const { store, spool, now, log } = parts
  let found = 0
  for (const { id, entry } of await spool.list()) {
    const { key, epoch, pair } = entry
    if (only !== undefined && !isSame(key, only)) continue
    found++
    const outcome = await store.storeRenewed(key, { epoch, pair, now: now() })
    if (outcome === 'orphaned') await revive(parts, entry)
    await spool.remove(id)
    log('token.replayed', { ...named(key), outcome })
  }
  return found
}

function isSame(a: TokenKey, b: TokenKey): boolean {
  return a.memberId === b.memberId && a.clientId === b.clientId && a.userId === b.userId
}

/** Nothing is worse than dead tokens, so a pair that came late may as well be tried. */
async function revive({ store, now, log }: RenewalParts, { key, pair }: SpooledPair): Promise<void> {
  const current = await store.find(key)
  if (current?.state !== 'dead') return
  await store.save(key, pair, now())
  for (const spare of await store.spares(key))
    if (spare.refreshToken === pair.refreshToken) await store.dropSpare(spare.id)
  const portal = await store.portal(key.memberId)
  if (portal?.state === 'suspended') await store.resume(key.memberId, now())
  log('token.revived', { ...named(key), from: 'spool' })
}
