import type { Kysely } from 'kysely'
import type { PortalEvent } from '../model/event.ts'
import type { TokenKey, TokenPair } from '../model/token.ts'
import { applicationTokenFingerprint, listTokenFingerprints } from './queries/application-tokens.ts'
import * as spool from './queries/event-spool.ts'
import { dropOldAccess, hasPair } from './queries/event-tokens.ts'
import { releaseOwnLease, takeLease } from './queries/leases.ts'
import { findPortal } from './queries/portals.ts'
import { keepSpare } from './queries/spare-tokens.ts'
import type { StoreTables } from './schema.ts'
import type { Secrets } from './secrets.ts'

const SPOOL_LEASE = 'event-spool'

/** The store as verifying events and keeping them want it. */
export function eventRecords(db: Kysely<StoreTables>, secrets: Secrets, now: () => number) {
  return {
    cards: {
      async card(memberId: string) {
        const portal = await findPortal(db, memberId)
        // A name may be a domain or an alias too; events say the id.
        if (portal === undefined || portal.memberId !== memberId) return undefined
        const { domain, state } = portal
        return { domain, state, tokens: await listTokenFingerprints(db, memberId) }
      },
      tokenFingerprint: (memberId: string, token: string) =>
        applicationTokenFingerprint(secrets, memberId, token),
      sign: (text: string) => secrets.fingerprint(text),
    },
    tokens: eventTokenQueries(db, secrets),
    spool: {
      append: (events: readonly PortalEvent[]) => spool.appendToSpool(db, events, now()),
      oldest: (limit: number) => spool.oldestSpooled(db, limit),
      remove: (ids: readonly number[]) => spool.removeSpooled(db, ids),
      removeKey: (event: Pick<PortalEvent, 'memberId' | 'key'>) => spool.removeSpooledKey(db, event),
      members: () => spool.spooledMembers(db),
      size: () => spool.spoolSize(db),
      lease: async (owner: string, ttlMs: number) =>
        (await takeLease(db, { name: SPOOL_LEASE, owner, ttlMs })) !== undefined,
      release: (owner: string) => releaseOwnLease(db, SPOOL_LEASE, owner),
    },
  }
}

/** The store for tokens that come with events. */
function eventTokenQueries(db: Kysely<StoreTables>, secrets: Secrets) {
  return {
    hasPair: (key: TokenKey) => hasPair(db, key),
    keep: (key: TokenKey, source: 'event' | 'access', pair: TokenPair, now: number) =>
      keepSpare(db, secrets, key, { source, pair, now }),
    dropOld: (now: number) => dropOldAccess(db, now),
  }
}
