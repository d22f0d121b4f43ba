import * as inbox from './queries/inbox.ts'
import * as rows from './queries/outbox.ts'
import { endOutboxRows, type OutboxEnd } from './queries/outbox-ends.ts'
import type { Store } from './store.ts'

/** The store as `bridge/outbox` wants it, for one process. */
export function outboxQueries({ db }: Pick<Store, 'db'>, owner: string) {
  return {
    take: (take: Omit<rows.OutboxTake, 'owner'>) => rows.takeOutboxRows(db, { ...take, owner }),
    renew: (ids: readonly number[], ttlMs: number) => rows.renewOutboxRows(db, owner, ids, ttlMs),
    giveBack: (ids: readonly number[], restMs: number) => rows.returnOutboxRows(db, owner, ids, restMs),
    freeOthers: () => rows.freeOutboxRows(db, owner),
    end: (ends: readonly OutboxEnd[]) => endOutboxRows(db, owner, ends),
    takeCallbacks: (take: inbox.CallbackTake) => inbox.takeCallbacks(db, take),
    endCallback: (end: inbox.CallbackEnd) => inbox.endCallback(db, end),
    keepEvents: (events: Parameters<typeof inbox.keepInboxEvents>[1]) => inbox.keepInboxEvents(db, events),
    depth: () => rows.outboxDepth(db),
    callbacks: () => inbox.countCallbacks(db),
    prune: (olderThanMs: number) => rows.pruneOutbox(db, olderThanMs),
  }
}
