import * as leases from './queries/leases.ts'
import type { Pump, Source } from './queries/offline-pumps.ts'
import * as pumps from './queries/offline-pumps.ts'
import { findPortal } from './queries/portals.ts'
import type { Store } from './store.ts'

/** The store as `bridge/events/offline` wants it. */
export function offlineQueries({ db, features }: Store) {
  return {
    takeOver: async () => (features.shared ? undefined : pumps.takeOverPumps(db)),
    leases: {
      take: (request: Parameters<typeof leases.takeLease>[1]) => leases.takeLease(db, request),
      renew: (lease: Parameters<typeof leases.renewLease>[1], ttlMs: number) =>
        leases.renewLease(db, lease, ttlMs),
      release: (lease: Parameters<typeof leases.releaseLease>[1]) => leases.releaseLease(db, lease),
    },
    pumps: (source: Parameters<typeof pumps.findPumps>[1]) => pumps.findPumps(db, source),
    list: (page: Parameters<typeof pumps.listPumps>[1]) => pumps.listPumps(db, page),
    due: (queue: Parameters<typeof pumps.duePump>[1]) => pumps.duePump(db, queue),
    findPortal: (name: string) => findPortal(db, name),
    count: () => pumps.countPumps(db),
    claimDue: (now: number, limit: number, holdMs: number) => pumps.claimDuePumps(db, { now, limit, holdMs }),
    save: (pump: Pump) => pumps.savePump(db, pump),
    replace: (source: Source, connectors: readonly string[], now: number) =>
      pumps.replacePumps(db, source, { connectors, now }),
    claimUnseen: (since: number, now: number, limit: number) =>
      pumps.claimUnseenSources(db, { since, now, limit }),
    see: (source: Source, now: number) => pumps.noteSeen(db, source, now),
    unsee: (source: Source) => pumps.noteSeen(db, source, 0),
  }
}
