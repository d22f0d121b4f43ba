import { BridgeError } from '../../../model/errors.ts'
import type { KnownPortal } from '../../../model/portal.ts'
import type { Portals } from '../../portals.ts'
import { findHidden, type HiddenEvents, releaseHidden } from './hidden.ts'
import { refuseOffline } from './refusals.ts'
import type { OfflineQueueKey } from './row.ts'

/** What is hidden in a queue; with an error the portal could not be asked. */
export interface QueueErrors extends HiddenEvents {
  readonly error?: BridgeError
}

/** A page of queues, and where the next one begins. */
export interface ErrorPage {
  /** Those in which something is hidden, and those that could not be asked. */
  readonly queues: readonly QueueErrors[]
  readonly next?: string
}

/** Which queues are meant. */
export interface ErrorFilter {
  /** Member id, domain or alias. */
  readonly portal: string
  readonly clientId?: string | undefined
  readonly connector?: string | undefined
}

/** Events that no broker took, for operators: portals hide them until somebody asks for them. */
export interface OfflineErrors {
  /** Asks the queues of a portal, or of all, one after another; at most `limit` of them. */
  list(page: {
    readonly portal?: string
    readonly after?: string
    readonly limit: number
  }): Promise<ErrorPage>
  /**
   * Offers what is hidden in the queues of a portal to the broker again, and gives how many events that are. What the
   * broker refuses once more is hidden once more. Rejects with what kept the portal from answering.
   */
  release(which: ErrorFilter): Promise<number>
}

export interface OfflineErrorsParts {
  readonly portals: Pick<Portals, 'find'>
  readonly store: {
    findPortal(name: string): Promise<KnownPortal | undefined>
    /** Queues in the order of their names. */
    list(page: {
      readonly memberId?: string
      readonly after?: string
      readonly limit: number
    }): Promise<{ readonly pumps: readonly OfflineQueueKey[]; readonly next?: string }>
    /** A queue is to be looked into at once, by whatever process. */
    due(queue: OfflineQueueKey): Promise<void>
  }
  /** Rows that one read brings at most. */
  readonly limit: number
  /** Something was taken out of hiding in a queue of this application. */
  readonly onReleased?: (memberId: string, clientId: string) => void
}

/** No portal has so many queues. */
const MOST_QUEUES = 1000

/** The hidden events of all queues in a store; does no I/O by itself. */
export function createOfflineErrors(parts: OfflineErrorsParts): OfflineErrors {
  const { portals, store, limit, onReleased } = parts

  async function memberIdOf(name: string): Promise<string> {
    const portal = await store.findPortal(name)
    if (portal === undefined) throw refuseOffline('PORTAL_UNKNOWN')
    return portal.memberId
  }

  async function look(queue: OfflineQueueKey): Promise<QueueErrors> {
    try {
      return await findHidden(portals, queue)
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      const { memberId, clientId, connector } = queue
      return { memberId, clientId, connector, total: 0, rows: [], error }
    }
  }

  async function releaseAll(queue: OfflineQueueKey): Promise<number> {
    // Counted before: what is refused again meanwhile is not offered for ever.
    const { total } = await findHidden(portals, queue)
    let released = 0
    while (released < total) {
      const count = await releaseHidden(portals, queue, limit)
      if (count === 0) break
      released += count
    }
    if (released === 0) return 0
    await store.due(queue)
    onReleased?.(queue.memberId, queue.clientId)
    return released
  }

  return {
    async list({ portal, ...page }) {
      const of = portal === undefined ? {} : { memberId: await memberIdOf(portal) }
      const { pumps, next } = await store.list({ ...of, ...page })
      const queues: QueueErrors[] = []
      for (const pump of pumps) {
        const found = await look(pump)
        if (found.total > 0 || found.error !== undefined) queues.push(found)
      }
      return { queues, ...(next === undefined ? {} : { next }) }
    },
    async release({ portal, clientId, connector }) {
      const memberId = await memberIdOf(portal)
      const { pumps } = await store.list({ memberId, limit: MOST_QUEUES })
      const meant = pumps.filter(
        (one) =>
          (clientId ?? one.clientId) === one.clientId && (connector ?? one.connector) === one.connector,
      )
      if (meant.length === 0) throw refuseOffline('QUEUE_UNKNOWN')
      let released = 0
      for (const pump of meant) released += await releaseAll(pump)
      return released
    },
  }
}
