import { setTimeout as sleep } from 'node:timers/promises'
import type { ChannelModel, Message as RawMessage } from 'amqplib'
import { BrokerError } from '../../model/errors.ts'
import type { Consumer, Delivery, Message } from '../broker.ts'
import { AckWindow } from './acks.ts'
import { closeChannel, watchChannel } from './channel.ts'
import { type AmqpLink, type BrokerLogger, retryDelay } from './connection.ts'
import { reasonText, refusal, replyCode } from './errors.ts'
import { decodeMessage, deliveryCountOf } from './message.ts'

export interface AmqpConsumerOptions {
  readonly queue: string
  readonly prefetch: number
  /** Shown in the broker's list of consumers. */
  readonly tag: string
  readonly handler: (delivery: Delivery) => void
  readonly link: AmqpLink
  /** Makes the queue again where we declare it; runs before a renewed subscription on the same connection. */
  readonly restore: (model: ChannelModel) => Promise<void>
  readonly onStop: () => void
  readonly logger: BrokerLogger
  readonly random: () => number
}

/** One life on one channel. Deliveries of an earlier life are deaf: their channel's `AckWindow` is closed. */
interface Subscription {
  /** Why it ended: the broker cancelled it, closed the channel, or the connection went. */
  readonly ended: Promise<string>
  stop(): Promise<void>
  /** Ends it at once; the consumer then begins anew. What is out goes back to the queue. */
  interrupt(why: string): Promise<void>
}

/**
 * Keeps one queue consumed. It lives on a channel of its own and begins anew, queue and all, whenever that ends:
 *
 * subscribing ─▶ consuming ─▶ (connection lost │ channel closed │ cancelled by the broker) ─▶ waiting ─▶ subscribing
 *
 * Handlers still at work do not hold up the new subscription. https://www.rabbitmq.com/docs/consumer-cancel
 */
export class AmqpConsumer implements Consumer {
  readonly #options: AmqpConsumerOptions
  readonly #stopping = new AbortController()
  #subscription: Subscription | undefined

  constructor(options: AmqpConsumerOptions) {
    this.#options = options
  }

  get queue(): string {
    return this.#options.queue
  }

  /** Resolves with the first subscription; rejects when the broker refuses that one. Waits for a connection as long as it takes. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      void this.#run(resolve, reject)
    })
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.#options.onStop()
    const subscription = this.#subscription
    this.#subscription = undefined
    await subscription?.stop()
  }

  /** Lets go of the queue and subscribes again a little later. */
  async interrupt(why: string): Promise<void> {
    await this.#subscription?.interrupt(why)
  }

  async #run(started: () => void, refused: (error: Error) => void): Promise<void> {
    const { link, queue, restore, logger, random } = this.#options
    const { signal } = this.#stopping
    let everSubscribed = false
    let before: ChannelModel | undefined
    for (let failures = 0; !signal.aborted; ) {
      let reason: string
      try {
        const model = await link.ready()
        if (model === before) await restore(model)
        before = model
        const subscription = await subscribe(model, this.#options)
        if (signal.aborted) {
          await subscription.stop()
          break
        }
        this.#subscription = subscription
        failures = 0
        everSubscribed = true
        started()
        logger('consumer.subscribed', { queue })
        reason = await subscription.ended
        this.#subscription = undefined
      } catch (error) {
        if (link.closed) break
        if (!everSubscribed && replyCode(error) >= 400)
          return refused(refusal(error, { kind: 'queue', name: queue }))
        reason = reasonText(error)
      }
      if (signal.aborted || link.closed) break
      const retryInMs = retryDelay(++failures, random)
      logger('consumer.interrupted', { queue, reason, retryInMs })
      // A lost connection has its own waiting time; a cancelled or refused consumer must not run hot.
      if (link.model !== undefined) await sleep(retryInMs, undefined, { signal }).catch(() => {})
    }
    refused(new BrokerError('BROKER_CLOSED', `Consuming '${queue}' was stopped before it began`))
  }
}

async function subscribe(model: ChannelModel, options: AmqpConsumerOptions): Promise<Subscription> {
  const { queue, prefetch, tag, handler, logger } = options
  const { channel, ended } = watchChannel(await model.createChannel())
  const acks = new AckWindow(channel)
  let stopped = false
  let interruption: string | undefined

  function onDelivery(raw: RawMessage | null): void {
    if (raw === null) {
      void interrupt('the broker cancelled the consumer, most often because the queue was deleted')
      return
    }
    acks.outstanding++
    if (stopped) {
      acks.requeue(raw.fields.deliveryTag)
      return
    }
    const delivery = new AmqpDelivery(raw, queue, acks)
    try {
      handler(delivery)
    } catch (error) {
      logger('consumer.handler_failed', { queue, reason: reasonText(error) })
      delivery.requeue()
    }
  }

  try {
    await channel.prefetch(prefetch)
    await channel.consume(queue, onDelivery, { consumerTag: tag })
  } catch (error) {
    await closeChannel(channel)
    throw error
  }

  async function interrupt(why: string): Promise<void> {
    interruption ??= why
    acks.flush()
    acks.close()
    await closeChannel(channel)
  }

  return {
    interrupt,
    ended: ended.then((error) => {
      acks.close()
      return interruption ?? (error === undefined ? 'the connection was lost' : reasonText(error))
    }),
    async stop() {
      if (stopped) return
      stopped = true
      try {
        await channel.cancel(tag)
      } catch {
        // The channel is gone, and the subscription with it.
      }
      acks.onIdle = () => void closeChannel(channel)
      acks.flush()
    },
  }
}

/** A delivery of RabbitMQ: settles on the channel it came by, once. */
export class AmqpDelivery implements Delivery {
  readonly message: Message
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
  readonly redelivered: boolean
  readonly deliveryCount: number
  readonly #tag: number
  #acks: AckWindow | undefined

  constructor(raw: RawMessage, queue: string, acks: AckWindow) {
    const fields = raw.fields as unknown as {
      deliveryTag: number
      exchange: string
      routingKey: string
      redelivered: boolean
    }
    this.message = decodeMessage(raw)
    this.queue = queue
    this.exchange = fields.exchange
    this.routingKey = fields.routingKey
    this.redelivered = fields.redelivered
    this.deliveryCount = deliveryCountOf(this.message.headers, fields.redelivered)
    this.#tag = fields.deliveryTag
    this.#acks = acks
  }

  ack(): void {
    this.#acks?.ack(this.#tag)
    this.#acks = undefined
  }

  requeue(): void {
    this.#acks?.requeue(this.#tag)
    this.#acks = undefined
  }
}
