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
  readonly #acks: AckWindow
  #settled = false

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

  get lost(): boolean {
    return this.#acks.closed
  }

  ack(): void {
    if (this.#settled) return
    this.#settled = true
    this.#acks.ack(this.#tag)
  }

  requeue(): void {
    if (this.#settled) return
    this.#settled = true
    this.#acks.requeue(this.#tag)
  }
}
