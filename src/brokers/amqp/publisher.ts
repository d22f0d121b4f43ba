import type { Options } from 'amqplib'
import type { Address, Message, PublishOptions } from '../broker.ts'
import { brokerClosed } from '../errors.ts'
import type { AmqpLink, BrokerLogger } from './connection.ts'
import { cut } from './dial.ts'
import { encodeProperties } from './message.ts'
import { type Publication, PublishingChannel, type PublishingChannelOptions } from './publishing-channel.ts'

export interface AmqpPublisherOptions {
  readonly link: AmqpLink
  readonly confirmTimeoutMs: number
  /** Sent and not yet confirmed, at most; further publications wait. */
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  readonly logger: BrokerLogger
  readonly random: () => number
  readonly now: () => number
}

/** Silence for this part of the time that a confirm may take is more than slowness. */
const SILENT_PART = 1 / 3
/** RabbitMQ lets a channel have some hundred messages before it that it has not looked at, then it stops the connection. */
const APART_IN_FLIGHT = 32
/** More queues than these are not the trouble of queues. */
const MOST_APART = 16

/**
 * Publishes over one channel, and apart from it to the queues that would hold it up.
 *
 * A channel of RabbitMQ deals with one message after another, and asks a quorum queue that is new to it before the first
 * one is stored. When that queue has no leader, the channel waits for minutes, and with it everything behind, whatever
 * queue it is for; soon the whole connection stands still. So a channel over which nothing is confirmed for a while is
 * cut off with its connection, and the destination of the oldest message on it gets a channel of its own, with few
 * messages on their way: they wait for the queue, and nobody waits for them.
 *
 * https://www.rabbitmq.com/docs/quorum-queues#leader-election and https://www.rabbitmq.com/docs/flow-control
 */
export class AmqpPublisher {
  readonly #options: AmqpPublisherOptions
  readonly #prefix: string
  readonly #common: PublishingChannel
  /** By destination. */
  readonly #apart = new Map<string, PublishingChannel>()
  #ids = 0
  #closed = false

  constructor(options: AmqpPublisherOptions) {
    this.#options = options
    this.#prefix = `b24-${Math.floor(options.random() * 2 ** 48).toString(36)}-`
    this.#common = this.#channel({
      onSilence: (sent) => this.#cutOff(sent),
      onLate: (publication) => this.#setApart(publication),
    })
  }

  get unconfirmed(): number {
    return this.#channels().reduce((sum, { unconfirmed }) => sum + unconfirmed, 0)
  }

  publish(address: Address, message: Message, { signal }: PublishOptions = {}): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(brokerClosed())
      // A returned message is recognised by its id, so each gets one.
      const messageId = message.messageId ?? this.#prefix + (++this.#ids).toString(36)
      const properties: Options.Publish = encodeProperties(message, messageId)
      const publication: Publication = {
        exchange: address.exchange,
        routingKey: address.routingKey,
        body: message.body,
        properties,
        deadline: this.#options.now() + this.#options.confirmTimeoutMs,
        signal,
        sentAt: 0,
        returned: undefined,
        resolve,
        reject,
      }
      this.#channelFor(address).add(publication)
    })
  }

  /** Sends what waited for the broker to be unblocked. */
  resume(): void {
    for (const channel of this.#channels()) channel.resume()
  }

  /** Waits, at most `patienceMs`, until everything accepted has ended; what is left then is rejected. */
  async close(patienceMs: number): Promise<void> {
    this.#closed = true
    await Promise.all(this.#channels().map((channel) => channel.close(patienceMs)))
  }

  #channels(): PublishingChannel[] {
    return [this.#common, ...this.#apart.values()]
  }

  #channel(own: Partial<PublishingChannelOptions>): PublishingChannel {
    return new PublishingChannel({
      ...this.#options,
      silenceMs: this.#options.confirmTimeoutMs * SILENT_PART,
      ...own,
    })
  }

  /** What was apart, and is well again, goes the common way as soon as nothing is before it that it could overtake. */
  #channelFor(address: Address): PublishingChannel {
    if (this.#apart.size === 0) return this.#common
    const destination = destinationOf(address)
    const apart = this.#apart.get(destination)
    if (apart === undefined || !apart.idle || !apart.healthy) return apart ?? this.#common
    this.#apart.delete(destination)
    void apart.close(0)
    this.#options.logger('publisher.brought_back', { destination })
    return this.#common
  }

  /** The first one that does not stand apart yet is the one that the channel waits for, as far as anybody can tell. */
  #cutOff(sent: Iterable<Publication>): void {
    const { model } = this.#options.link
    if (this.#closed || model === undefined) return
    for (const publication of sent) if (this.#setApart(publication)) break
    // Asked to close, the channel would have to look at what is before it first.
    cut(model)
  }

  /** True when that is news. */
  #setApart(publication: Publication): boolean {
    const destination = destinationOf(publication)
    if (this.#closed || this.#apart.has(destination) || this.#apart.size >= MOST_APART) return false
    this.#options.logger('publisher.set_apart', { destination })
    const channel = this.#channel({ maxInFlight: Math.min(this.#options.maxInFlight, APART_IN_FLIGHT) })
    this.#apart.set(destination, channel)
    const isFor = (one: Publication): boolean => destinationOf(one) === destination
    for (const waiting of this.#common.takeWaiting(isFor)) channel.add(waiting)
    return true
  }
}

/** The queue, or the exchange: behind an exchange nobody can tell which of its queues is the trouble. */
function destinationOf({ exchange, routingKey }: Address): string {
  return exchange === '' ? `queue ${routingKey}` : `exchange ${exchange}`
}
