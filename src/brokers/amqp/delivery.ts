import type { Message as RawMessage } from 'amqplib'
import type { Delivery, Message } from '../broker.ts'
import type { AckWindow } from './acks.ts'
import { decodeMessage, deliveryCountOf } from './message.ts'

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
