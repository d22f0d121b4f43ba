import { isJsonObject, type Json } from '../../../model/json.ts'
import type { Portals } from '../../portals.ts'
import type { OfflineSource } from './store.ts'

/** Connectors are short words; what does not fit into the store is nobody's. */
const MOST = 100

/**
 * The connectors for which an application on a portal keeps events: those of its offline handlers, the empty one for
 * handlers without. Rejects with what kept the portal from answering.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-get.html
 */
export async function findConnectors(
  portals: Pick<Portals, 'find'>,
  { memberId, clientId }: OfflineSource,
  signal: AbortSignal,
): Promise<string[]> {
  const { lane, credential } = await portals.find({ portal: memberId, application: clientId })
  const options = { priority: 'bulk', source: 'offline', credential, signal, deadlineMs: 60_000 } as const
  const [end] = await lane.submit({ calls: [{ method: 'event.get', params: {} }], options })
  if (end?.error !== undefined) throw end.error
  return connectorsOf(end?.answer?.body.result)
}

/** The connectors in an answer to `event.get`, each once, in order. */
export function connectorsOf(result: Json | undefined): string[] {
  const handlers = Array.isArray(result) ? result : isJsonObject(result) ? Object.values(result) : []
  const connectors = new Set<string>()
  for (const handler of handlers) {
    if (!isJsonObject(handler) || Number(handler.offline) !== 1) continue
    const { connector_id: connector } = handler
    const name = typeof connector === 'string' ? connector : ''
    if (name.length <= MOST) connectors.add(name)
  }
  return [...connectors].sort()
}
