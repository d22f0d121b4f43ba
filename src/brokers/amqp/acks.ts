import type { Channel, Message } from 'amqplib'

/**
 * Sends the acknowledgements of one channel, gathered until the end of the current turn of the event loop: those before
 * the oldest delivery that is still out cost one frame (`multiple`), those beyond it one each. After `close`, or once the
 * channel is gone, nothing is sent: the broker hands the messages out again. What is remembered is what is out, which
 * prefetch bounds, however long one of them stays.
 *
 * Tags rise on each channel: https://www.rabbitmq.com/docs/confirms#consumer-acks-delivery-tags
 */
export class AckWindow {
  readonly #channel: Channel
  /** Handed out and not settled, oldest first. */
  readonly #out = new Set<number>()
  /** Settled, not yet sent. */
  readonly #done = new Set<number>()
  #scheduled = false
  #closed = false
  /** Called when the last outstanding delivery has been settled and the broker told. */
  onIdle: (() => void) | undefined

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Nothing is sent any more. */
  get closed(): boolean {
    return this.#closed
  }

  /** Tags that are remembered. */
  get size(): number {
    return this.#out.size + this.#done.size
  }

  /** A delivery has come. */
  add(tag: number): void {
    this.#out.add(tag)
  }

  ack(tag: number): void {
    if (this.#closed) return
    this.#out.delete(tag)
    this.#done.add(tag)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.flush())
  }

  requeue(tag: number): void {
    if (this.#closed) return
    this.#out.delete(tag)
    // `nack`, not `reject`: from 4.3 on a rejected message counts as a failure of its consumer.
    this.#send(() => this.#channel.nack(rawOf(tag), false, true))
    if (this.#out.size === 0 && !this.#scheduled) this.onIdle?.()
  }

  /** Sends what is gathered at once. */
  flush(): void {
    this.#scheduled = false
    if (this.#closed) return
    const [oldest = Infinity] = this.#out
    let before = 0
    let last = 0
    for (const tag of this.#done) {
      if (tag < oldest) {
        before++
        last = Math.max(last, tag)
      } else this.#send(() => this.#channel.ack(rawOf(tag), false))
    }
    if (before > 0) this.#send(() => this.#channel.ack(rawOf(last), before > 1))
    this.#done.clear()
    if (this.#out.size === 0) this.onIdle?.()
  }

  close(): void {
    this.#closed = true
  }

  #send(act: () => void): void {
    if (this.#closed) return
    try {
      act()
    } catch {
      // The channel ended a moment ago and its 'close' event is still to come.
      this.#closed = true
    }
  }
}

/** The library reads nothing but the tag. */
function rawOf(deliveryTag: number): Message {
  return { fields: { deliveryTag } } as unknown as Message
}
