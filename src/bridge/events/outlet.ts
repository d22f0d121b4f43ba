import type { Broker, Message, PublishOptions, Topology } from '../../brokers/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import type { PortalEvent } from '../../model/event.ts'
import { type EventMessage, encodeEvent } from './message.ts'

/** Where events go. */
export interface EventOutlet {
  /**
   * Resolves when the broker has confirmed the event. One that no queue is bound for is kept on the queue of unrouted
   * events, so that it can be seen. Rejects with a `BrokerError` otherwise: nothing is known to be kept then.
   */
  publish(event: PortalEvent, options?: PublishOptions): Promise<void>
  /** As `publish`, for an event that was encoded before. */
  publishMessage(encoded: EventMessage, options?: PublishOptions): Promise<void>
}

export interface EventOutletOptions {
  readonly broker: Pick<Broker, 'publish'>
  /** Topic exchange; `b24.events` unless set. */
  readonly exchange?: string
  readonly onPublished?: (routed: boolean) => void
}

export const EVENT_EXCHANGE = 'b24.events'

/** The queue for events that nobody has bound a queue for. */
export function unroutedQueue(exchange: string = EVENT_EXCHANGE): string {
  return `${exchange}.unrouted`
}

/** A topic exchange for events, and a queue for those that nobody asked for. */
export function eventTopology(
  exchange: string = EVENT_EXCHANGE,
  mode: Topology['mode'] = 'declare',
): Topology {
  return {
    mode,
    exchanges: [{ name: exchange, type: 'topic', durable: true }],
    queues: [{ name: unroutedQueue(exchange), durable: true, type: 'quorum' }],
    bindings: [],
  }
}

/** Unrouted events are for looking at, not for keeping: a week. https://www.rabbitmq.com/docs/ttl */
const UNROUTED_TTL_MS = 7 * 24 * 60 * 60_000

/** Publishes events with confirmation. */
export function createEventOutlet(options: EventOutletOptions): EventOutlet {
  const { broker, exchange = EVENT_EXCHANGE, onPublished } = options

  async function publishMessage(
    { routingKey, message }: EventMessage,
    options?: PublishOptions,
  ): Promise<void> {
    try {
      await broker.publish({ exchange, routingKey }, message, options)
      onPublished?.(true)
    } catch (error) {
      if (!(error instanceof BrokerError) || error.code !== 'UNROUTABLE') throw error
      const unrouted: Message = { ...message, expiration: String(UNROUTED_TTL_MS) }
      await broker.publish({ exchange: '', routingKey: unroutedQueue(exchange) }, unrouted, options)
      onPublished?.(false)
    }
  }
  return { publishMessage, publish: async (event, options) => publishMessage(written(event), options) }
}

/** An event that cannot be written down, because it is nested too deeply, will not be better next time. */
function written(event: PortalEvent): EventMessage {
  try {
    return encodeEvent(event)
  } catch (error) {
    throw new BrokerError('MESSAGE_INVALID', 'The event cannot be written as a message', { cause: error })
  }
}
