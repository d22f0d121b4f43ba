import { createOfflineErrors, type OfflineErrors } from '../bridge/events/offline/errors.ts'
import type { PumpParts } from '../bridge/events/offline/pump.ts'
import { createOfflinePumps, type OfflinePumps } from '../bridge/events/offline/pumps.ts'
import type { EventOutlet } from '../bridge/events/outlet.ts'
import { offlineQueries } from '../stores/offline.ts'
import type { Foundation } from './foundation.ts'

/** Between the end of a drain and the look after it; longer than the second in which a portal calls once. */
const PAUSE_MS = 2000

/** The pumps of offline queues; they do nothing before `start`. */
export function createOfflinePart(
  base: Foundation,
  outlet: EventOutlet,
  more: Pick<PumpParts, 'prepare' | 'onPublished'>,
): OfflinePumps {
  // When a queue is due is told to other processes.
  const { config, store, portals, owner, sharedNow: now, random, log, metrics, closing } = base
  const { limit, pollMs, idlePollMs } = config.events.offline
  const pumps = createOfflinePumps({
    store: offlineQueries(store),
    portals,
    outlet,
    owner,
    limit,
    pollMs,
    idlePollMs,
    pauseMs: PAUSE_MS,
    now,
    random,
    log,
    onDrained: metrics.offlineDrained,
    ...more,
  })
  closing.push(() => pumps.close())
  return pumps
}

/** What portals hide because no broker took it; what is released the pumps of this process fetch at once. */
export function createErrorPart(
  { config, store, portals }: Foundation,
  pumps: Pick<OfflinePumps, 'nudge'>,
): OfflineErrors {
  const { limit } = config.events.offline
  return createOfflineErrors({ portals, store: offlineQueries(store), limit, onReleased: pumps.nudge })
}
