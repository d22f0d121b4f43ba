import { bindingMatches } from '../../brokers/topology.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'
import { gather } from '../../util/gather.ts'
import { type EventMessage, encodeEvent } from '../events/message.ts'
import type { EventOutlet } from '../events/outlet.ts'

/** An event as it stands in the inbox. */
export interface InboxEvent {
  readonly kind: 'event'
  readonly message_id: string
  readonly portal: string | null
  readonly name: string
  readonly result: string
  readonly details: string
}

/**
 * The outlet, with those events also kept in the inbox whose routing key one of the patterns lets through (`event.#`,
 * `*.*.oncrmdealadd`): first there, then at the broker. An event that is published again is not kept again.
 */
export function outletWithInbox(
  outlet: EventOutlet,
  patterns: readonly string[],
  store: { keepEvents(events: readonly InboxEvent[]): Promise<void> },
): EventOutlet {
  if (patterns.length === 0) return outlet
  const keep = gather(async (events: readonly InboxEvent[]) => {
    await store.keepEvents([
      ...new Map(events.map((one) => [`${one.message_id} ${one.portal}`, one])).values(),
    ])
    return events.map(() => undefined)
  })
  async function publishMessage(encoded: EventMessage): Promise<void> {
    const { routingKey, message } = encoded
    if (patterns.some((pattern) => bindingMatches('topic', pattern, routingKey)))
      await keep(inboxEvent(message.messageId ?? '', message.body))
    await outlet.publishMessage(encoded)
  }
  return { publishMessage, publish: (event) => publishMessage(encodeEvent(event)) }
}

function inboxEvent(messageId: string, body: Buffer): InboxEvent {
  const { data = {}, ...details } = JSON.parse(body.toString()) as JsonObject
  const { portal } = details
  return {
    kind: 'event',
    message_id: messageId.slice(0, 255),
    portal: isJsonObject(portal) && typeof portal.domain === 'string' ? portal.domain : null,
    name: String(details.event).slice(0, 255),
    result: JSON.stringify(data),
    details: JSON.stringify(details),
  }
}
