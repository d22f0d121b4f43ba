import type { EventOutlet } from '../bridge/events/outlet.ts'
import type { PushKey } from '../bridge/events/push/event.ts'
import {
  createPushSupervisor,
  type PushSupervisor,
  type PushSupervisorOptions,
} from '../bridge/events/push/supervisor.ts'
import { createPushClient } from '../client/push/client.ts'
import { pushRecords } from '../stores/push.ts'
import { certificates, type Foundation } from './foundation.ts'

/** What others do about what push servers say, and how leases are held. */
export interface PushHooks extends Pick<PushSupervisorOptions, 'leaseMs' | 'scanMs'> {
  /** Offline events wait, or may. */
  readonly onOffline: (key: PushKey) => void
  /** Something may have been lost. */
  readonly onGap: (key: PushKey) => void
}

/** Nobody else is at the store: leases only outlive a process that was killed. */
const ALONE = { leaseMs: 5000, scanMs: 3000 }

/** Listens to the push servers of portals; does nothing before `start`. */
export function createPushPart(base: Foundation, outlet: EventOutlet, hooks: PushHooks): PushSupervisor {
  const { config, store, portals, owner, now, random, log, metrics, closing } = base
  const client = createPushClient({
    now,
    random,
    format: config.events.push.format,
    ...certificates(config),
  })
  const supervisor = createPushSupervisor({
    ...(store.features.shared ? {} : ALONE),
    ...hooks,
    client,
    store: pushRecords(store.db),
    portals,
    outlet,
    owner,
    now,
    onMessage: metrics.pushMessage,
    onConnected: metrics.pushConnected,
    log,
  })
  closing.push(async () => {
    await supervisor.close()
    await client.close()
  })
  return supervisor
}
