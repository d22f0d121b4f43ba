import type { SendingHabits } from './sender.ts'

/** Points of events on which the documentation is silent or differs. */
export interface EventHabits extends SendingHabits {
  /** Which events bring a refresh token: those of `refresh-events.ts`, or all, as the documentation's samples do. */
  readonly eventRefreshTokens: 'some' | 'always'
  /** What null is in a form. */
  readonly nullInEvents: 'empty' | 'absent'
  /**
   * What becomes in the offline queue of changes that an application made itself without `auth_connector`: portals drop
   * them, by the documentation they come back. Those made with the handler's connector are dropped either way.
   */
  readonly ownOfflineChanges: 'dropped' | 'queued'
  /** When `ONOFFLINEEVENT` is sent: for new rows, or for repeats that went into a waiting row too. */
  readonly offlineNudges: 'new-rows' | 'every-change'
  /** Rows older than 34 days vanish from the queue: all of them, or reserved ones only, as on older portals. */
  readonly offlineAgeing: 'all' | 'reserved'
  /** `auth_connector` inside a command of a batch: not looked at, because the request's own counts, or followed. */
  readonly connectorInBatch: 'ignored' | 'followed'
}

/** The likelier choice of each. */
export const USUAL_EVENTS: EventHabits = {
  eventDelayMs: 0,
  eventTimeoutMs: 10_000,
  eventOrder: 'raised',
  eventKeepAlive: false,
  eventConnections: Number.POSITIVE_INFINITY,
  slowHandlerMs: 3000,
  slowHandlerDelayMs: 30_000,
  eventRefreshTokens: 'some',
  nullInEvents: 'empty',
  ownOfflineChanges: 'dropped',
  offlineNudges: 'new-rows',
  offlineAgeing: 'all',
  connectorInBatch: 'ignored',
}
