import type { Consumer, Delivery, Message } from '../broker.ts'
import type { Counter, Taker } from './counter.ts'
import { decodeMessage } from './message.ts'
import type { MessageRow } from './tables.ts'

/** One who takes messages of a queue, up to its prefetch. */
export class EmbeddedConsumer implements Consumer, Taker {
  readonly queue: string
  readonly #counter: Counter
  readonly #prefetch: number
  readonly #handler: (delivery: Delivery) => void
  readonly #onStop: () => void
  /** Out and not settled, in the order in which they went. */
  readonly #out = new Set<EmbeddedDelivery>()
  #stopped = false

  constructor(
    counter: Counter,
    queue: string,
    prefetch: number,
    handler: (delivery: Delivery) => void,
    onStop: () => void,
  ) {
    this.#counter = counter
    this.queue = queue
    this.#prefetch = prefetch
    this.#handler = handler
    this.#onStop = onStop
  }

  get room(): number {
    return this.#stopped ? 0 : this.#prefetch - this.#out.size
  }

  take(row: MessageRow): void {
    if (this.#stopped) {
      this.#counter.giveBack(row.id!, 0)
      return
    }
    const delivery = new EmbeddedDelivery(row, this.#counter, () => this.#out.delete(delivery))
    this.#out.add(delivery)
    try {
      this.#handler(delivery)
    } catch {
      delivery.requeue()
    }
  }

  async abandon(): Promise<void> {
    if (this.#stopped) return
    for (const delivery of this.#out) delivery.requeue()
    await this.stop()
  }

  async stop(): Promise<void> {
    if (this.#stopped) return
    this.#stopped = true
    this.#counter.removeTaker(this)
    this.#onStop()
    await this.#counter.flush()
  }
}

/** A leased message: settles by its number, once. */
export class EmbeddedDelivery implements Delivery {
  readonly message: Message
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
  readonly redelivered: boolean
  readonly deliveryCount: number
  /** A lease does not end while its owner lives. */
  readonly lost = false
  readonly #id: number
  readonly #counter: Counter
  readonly #onSettled: () => void
  #settled = false

  constructor(row: MessageRow, counter: Counter, onSettled: () => void) {
    this.message = decodeMessage(row.properties, row.body)
    this.queue = row.queue
    this.exchange = row.exchange
    this.routingKey = row.routing_key
    this.deliveryCount = row.delivery_count - 1
    this.redelivered = this.deliveryCount > 0
    this.#id = row.id!
    this.#counter = counter
    this.#onSettled = onSettled
  }

  ack(): void {
    if (this.#settled) return
    this.#settled = true
    this.#onSettled()
    this.#counter.ack(this.#id)
  }

  requeue(delayMs = 0): void {
    if (this.#settled) return
    this.#settled = true
    this.#onSettled()
    this.#counter.giveBack(this.#id, delayMs)
  }
}
