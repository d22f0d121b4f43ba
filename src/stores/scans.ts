import type { Kysely } from 'kysely'
import { type Arrival, dropArrivals, findArrivals, noteArrivals } from './queries/arrivals.ts'
import { readCursor, saveCursor } from './queries/cursors.ts'
import { releaseLease, renewLease, takeLease } from './queries/leases.ts'
import type { StoreTables } from './schema.ts'

/** The store as looking for events that never arrived wants it. */
export function scanRecords(db: Kysely<StoreTables>, now: () => number) {
  return {
    portals: () => listScanPortals(db),
    leases: {
      take: (request: { readonly name: string; readonly owner: string; readonly ttlMs: number }) =>
        takeLease(db, request),
      renew: (lease: Parameters<typeof renewLease>[1], ttlMs: number) => renewLease(db, lease, ttlMs),
      release: (lease: Parameters<typeof releaseLease>[1]) => releaseLease(db, lease),
    },
    cursor: (name: string) => readCursor(db, name),
    saveCursor: (name: string, value: string) => saveCursor(db, name, { value, updatedAt: now() }),
    note: (arrivals: readonly Arrival[]) => noteArrivals(db, arrivals, now()),
    arrivals: (about: Parameters<typeof findArrivals>[1]) => findArrivals(db, about),
    forget: (before: number) => dropArrivals(db, before),
  }
}

/** Portals that are called and whose events can be proven: those that tell us anything. */
async function listScanPortals(db: Kysely<StoreTables>): Promise<string[]> {
  const rows = await db
    .selectFrom('portals')
    .select('member_id')
    .where('state', '=', 'active')
    .where((where) =>
      where.exists(
        where
          .selectFrom('application_tokens')
          .select('application_tokens.member_id')
          .whereRef('application_tokens.member_id', '=', 'portals.member_id'),
      ),
    )
    .execute()
  return rows.map((row) => row.member_id)
}
