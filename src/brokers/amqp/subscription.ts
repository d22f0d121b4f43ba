import type { ChannelModel, Message as RawMessage } from 'amqplib'
import type { Delivery } from '../broker.ts'
import { AckWindow } from './acks.ts'
import { closeChannel, watchChannel } from './channel.ts'
import type { BrokerLogger } from './connection.ts'
import { AmqpDelivery } from './delivery.ts'
import { reasonText } from './errors.ts'

export interface SubscriptionOptions {
  readonly queue: string
  readonly prefetch: number
  /** Shown in the broker's list of consumers. */
  readonly tag: string
  readonly handler: (delivery: Delivery) => void
  readonly logger: BrokerLogger
}

/** One life on one channel. Deliveries of an earlier life are deaf: their channel's `AckWindow` is closed. */
export interface Subscription {
  /** Why it ended: the broker cancelled it, closed the channel, or the connection went. */
  readonly ended: Promise<string>
  stop(): Promise<void>
  /** Ends it at once; the consumer then begins anew. What is out goes back to the queue. */
  interrupt(why: string): Promise<void>
}

/** Subscribes to a queue. Rejects with the broker's own error when it refuses. */
export async function subscribe(model: ChannelModel, options: SubscriptionOptions): Promise<Subscription> {
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
    acks.add(raw.fields.deliveryTag)
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
