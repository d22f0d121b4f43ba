import { createArrivals } from '../bridge/events/scan/arrivals.ts'
import { scanEntity } from '../bridge/events/scan/entities.ts'
import { createScans, type Scans } from '../bridge/events/scan/scans.ts'
import type { DurableOutlet } from '../bridge/events/spool.ts'
import type { PortalEvent } from '../model/event.ts'
import { scanRecords } from '../stores/scans.ts'
import type { Foundation } from './foundation.ts'

/** Looking for events that never arrived, as the roads of events see it; does nothing where the settings say no. */
export interface ScanPart extends Pick<Scans, 'start' | 'lost'> {
  /** An event is kept. */
  readonly note: (event: PortalEvent) => void
}

const IDLE: ScanPart = { start: () => undefined, lost: () => undefined, note: () => undefined }

/** Puts the parts together. Does no I/O before `start`. */
export function createScanPart(base: Foundation, outlet: Pick<DurableOutlet, 'keep'>): ScanPart {
  const { config, store, portals, owner, now, random, log, metrics, closing } = base
  const { everyMs, settleMs, entities: names } = config.events.scan
  if (everyMs === undefined || !config.events.enabled) return IDLE
  const records = scanRecords(store.db, now)
  const arrivals = createArrivals({ store: records, entities: new Set(names), log })
  closing.push(() => arrivals.close())
  const scans = createScans({
    store: records,
    arrivals,
    outlet,
    portals,
    entities: names.flatMap((name) => scanEntity(name) ?? []),
    everyMs,
    settleMs,
    owner,
    now,
    random,
    onScanned: metrics.scanned,
    log,
  })
  closing.push(() => scans.close())
  return { start: () => scans.start(), lost: (memberId) => scans.lost(memberId), note: arrivals.note }
}
