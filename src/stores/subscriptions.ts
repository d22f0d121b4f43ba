import { listApplications, listInstallations } from './queries/applications.ts'
import { releaseLease, takeLease } from './queries/leases.ts'
import { noteSeen } from './queries/offline-pumps.ts'
import { findPortal } from './queries/portals.ts'
import { type AppliedRow, findApplied, listInstalled, saveApplied } from './queries/subscriptions.ts'
import { listTokens } from './queries/tokens.ts'
import type { Store } from './store.ts'

/** A portal is done in seconds, unless its limits are used up. */
const LEASE_MS = 5 * 60_000

/** The store as `bridge/events/subscriptions` wants it. `newId` makes owners of leases. */
export function subscriptionRecords({ db }: Pick<Store, 'db'>, newId: () => string) {
  return {
    listApplications: () => listApplications(db),
    findPortal: (name: string) => findPortal(db, name),
    listInstallations: (memberId: string) => listInstallations(db, memberId),
    listTokens: (memberId: string) => listTokens(db, { memberId }),
    listInstalled: (clientId: string, page: { readonly after: string; readonly limit: number }) =>
      listInstalled(db, clientId, page),
    findApplied: (memberId: string, clientId: string): Promise<AppliedRow | undefined> =>
      findApplied(db, memberId, clientId),
    saveApplied: (applied: AppliedRow) => saveApplied(db, applied),
    offlineChanged: (memberId: string, clientId: string) => noteSeen(db, { memberId, clientId }, 0),
    async claim(name: string) {
      const lease = await takeLease(db, { name, owner: newId(), ttlMs: LEASE_MS })
      return lease === undefined ? undefined : () => releaseLease(db, lease)
    },
  }
}
