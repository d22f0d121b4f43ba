import type { CallSettled, LaneCall } from '../../../client/lane/work.ts'
import { withConnector } from '../../auth-connector.ts'
import type { Portals } from '../../portals.ts'
import { listHidden, reserveHidden } from './calls.ts'
import { rowsOf } from './drain.ts'
import type { OfflineQueueKey, OfflineRow } from './row.ts'

/** Events that no broker took, and that the portal therefore hides from readers. */
export interface HiddenEvents extends OfflineQueueKey {
  /** How many there are; `rows` shows the first page of them. */
  readonly total: number
  readonly rows: readonly OfflineRow[]
}

/** Looks at what is hidden in a queue; changes nothing. Rejects with what kept the portal from answering. */
export async function findHidden(
  portals: Pick<Portals, 'find'>,
  queue: OfflineQueueKey,
): Promise<HiddenEvents> {
  const { memberId, clientId, connector } = queue
  const answer = rowsOf(await send(portals, queue, listHidden(connector)))
  return { memberId, clientId, connector, total: answer?.total ?? 0, rows: answer?.rows ?? [] }
}

/**
 * Takes up to `limit` hidden events out of hiding, by reserving them: the next look at the queue finds them as if a
 * reader had left them, and offers them to the broker again. Gives how many they are. Rejects as `findHidden`.
 */
export async function releaseHidden(
  portals: Pick<Portals, 'find'>,
  queue: OfflineQueueKey,
  limit: number,
): Promise<number> {
  return rowsOf(await send(portals, queue, reserveHidden(queue.connector, limit)))?.rows.length ?? 0
}

async function send(
  portals: Pick<Portals, 'find'>,
  { memberId, clientId, connector }: OfflineQueueKey,
  call: LaneCall,
): Promise<CallSettled> {
  const { lane, credential } = await portals.find({ portal: memberId, application: clientId })
  const [end] = await lane.submit({
    calls: [call],
    options: { source: 'offline', credential: withConnector(credential, connector), deadlineMs: 60_000 },
  })
  if (end?.error !== undefined) throw end.error
  return end as CallSettled
}
