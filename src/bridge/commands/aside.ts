import type { Broker, Delivery, Message } from '../../brokers/broker.ts'
import type { Portal } from '../portals.ts'
import type { Held } from './held.ts'

/**
 * Where deliveries go that cannot be carried out now, so that they do not stand in the way of others. Each method
 * resolves to true when the delivery was taken over: it is confirmed elsewhere and acknowledged here.
 */
export interface Aside {
  /** Asked before a command is carried out. */
  admit(
    delivery: Delivery,
    command: Held & {
      readonly portal: Portal
      /** It has a place in an order. */
      readonly ordered: boolean
      /** Milliseconds that are left to it. */
      readonly deadlineMs: number | undefined
    },
  ): Promise<boolean>
  /**
   * Brings the delivery back to its queue after a while. With `moving`, whose `moveId` is that of `movedMessage`, it rejects
   * when nobody knows whether it was taken over; without, that counts as no.
   */
  park(delivery: Delivery, waitMs: number, moving?: { readonly moveId: string | undefined }): Promise<boolean>
}

/** When the message came first: deadlines count from there. Milliseconds since 1970. */
export const FIRST_SEEN_HEADER = 'x-b24-first-seen'

/** How long ago a message came first, 0 for one that has just come. */
export function ageOf({ headers }: Message, now: number): number {
  const first = headers[FIRST_SEEN_HEADER]
  return typeof first === 'number' && first > 0 ? Math.max(0, now - first) : 0
}

/**
 * The same message for another queue. What the broker has written on it goes; `expiration` too, or the broker would
 * drop it there without a reply: it becomes a deadline that counts from the first arrival. `moveId` names one that has no
 * message id, for it may arrive twice.
 */
export function movedMessage(
  { expiration, headers, ...message }: Message,
  now: number,
  moveId?: string,
): Message {
  const kept = withoutBrokerHeaders(headers)
  return {
    ...message,
    headers: {
      ...kept,
      [FIRST_SEEN_HEADER]: kept[FIRST_SEEN_HEADER] ?? now,
      ...(expiration === undefined ? {} : { [EXPIRATION_HEADER]: expiration }),
      ...(moveId === undefined ? {} : { [MOVE_ID_HEADER]: moveId }),
    },
    persistent: true,
  }
}

/** `expiration` of the message as it came first. */
const EXPIRATION_HEADER = 'x-b24-expiration'

/** Names a message without an id from the moment at which it was moved. */
const MOVE_ID_HEADER = 'x-b24-move-id'

/** By what a repetition of the message is told: its id, or the one under which it was moved. */
export function identityOf({ messageId, headers }: Message): string | undefined {
  if (messageId !== undefined && messageId !== '') return messageId
  const moveId = headers[MOVE_ID_HEADER]
  return typeof moveId === 'string' ? `moved ${moveId}` : undefined
}

/** A message from another queue as its sender wrote it, without what the way there added. */
export function originalMessage(message: Message): Message {
  if (message.headers[FIRST_SEEN_HEADER] === undefined) return message
  const {
    [FIRST_SEEN_HEADER]: _first,
    [EXPIRATION_HEADER]: expiration,
    [MOVE_ID_HEADER]: _id,
    ...headers
  } = message.headers
  return { ...message, headers, ...(typeof expiration === 'string' ? { expiration } : {}) }
}

/** The headers without what brokers count and note in them. */
export function withoutBrokerHeaders(headers: Message['headers']): Message['headers'] {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !BROKER_HEADERS.test(name)))
}

const BROKER_HEADERS = /^x-(?:death|(?:first|last)-death-\w+|delivery-count|acquired-count)$/i

/** Nothing is parked for less. */
export const SHORTEST_WAIT_MS = 5000

/** Longest first. A wait is cut into such pieces, so that it ends within the shortest one of its time. */
const TIERS = [
  { name: '1h', ms: 3_600_000 },
  { name: '10m', ms: 600_000 },
  { name: '2m', ms: 120_000 },
  { name: '30s', ms: 30_000 },
  { name: '5s', ms: SHORTEST_WAIT_MS },
] as const

/**
 * Delay queues in tiers: a message waits in one until its time is over, and the broker brings it back to the queue that
 * its routing key names. Shorter waits than the shortest tier are not worth the way.
 *
 * https://www.rabbitmq.com/docs/ttl, https://www.rabbitmq.com/docs/dlx
 */
export class DelayQueues {
  readonly #broker: Broker
  readonly #prefix: string
  readonly #now: () => number
  readonly #declared = new Map<string, Promise<void>>()

  constructor({ broker, prefix, now }: { broker: Broker; prefix: string; now: () => number }) {
    this.#broker = broker
    this.#prefix = prefix
    this.#now = now
  }

  /** See `Aside.park`. False for a wait that is too short. Rejects with a `BrokerError` when no broker takes it. */
  async park(delivery: Delivery, waitMs: number, moveId?: string): Promise<boolean> {
    const tier = TIERS.find(({ ms }) => ms <= waitMs)
    if (tier === undefined) return false
    if (this.#broker.features.delayedRequeue) {
      delivery.requeue(tier.ms)
      return true
    }
    const exchange = `${this.#prefix}.${tier.name}`
    await this.#declare(exchange, tier.ms)
    const message = movedMessage(delivery.message, this.#now(), moveId)
    await this.#broker.publish({ exchange, routingKey: delivery.queue }, message)
    delivery.ack()
    return true
  }

  /** A tier is made when it is needed first. */
  #declare(exchange: string, ms: number): Promise<void> {
    let declared = this.#declared.get(exchange)
    if (declared === undefined) {
      declared = this.#broker.declare({
        mode: 'declare',
        exchanges: [{ name: exchange, type: 'fanout', durable: true }],
        queues: [
          {
            name: exchange,
            durable: true,
            type: 'quorum',
            arguments: {
              'x-message-ttl': ms,
              // The default exchange: the routing key it came with is the name of the queue where it belongs.
              'x-dead-letter-exchange': '',
              'x-dead-letter-strategy': 'at-least-once',
              'x-overflow': 'reject-publish',
            },
          },
        ],
        bindings: [{ queue: exchange, exchange, routingKey: '' }],
      })
      declared.catch(() => this.#declared.delete(exchange))
      this.#declared.set(exchange, declared)
    }
    return declared
  }
}
