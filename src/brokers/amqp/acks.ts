import type { Channel, Message } from 'amqplib'

/**
 * Sends the acknowledgements of one channel, gathered until the end of the current turn of the event loop: an unbroken
 * run of settled deliveries costs one frame (`multiple`), those beyond a gap one each. After `close`, or once the
 * channel is gone, nothing is sent: the broker hands the messages out again.
 *
 * Tags count up by one on each channel: https://www.rabbitmq.com/docs/confirms#consumer-acks-delivery-tags
 */
export class AckWindow {
  readonly #channel: Channel
  /** Every tag up to here has been settled and sent. */
  #floor = 0
  /** Settled, not yet sent. */
  readonly #done = new Set<number>()
  /** Above the floor, settled and sent. */
  readonly #sent = new Set<number>()
  #scheduled = false
  #closed = false
  /** Deliveries handed out and not settled. */
  outstanding = 0
  /** Called when the last outstanding delivery has been settled and the broker told. */
  onIdle: (() => void) | undefined

  constructor(channel: Channel) {
    this.#channel = channel
  }

  /** Nothing is sent any more. */
  get closed(): boolean {
    return this.#closed
  }

  ack(tag: number): void {
    if (this.#closed) return
    this.outstanding--
    this.#done.add(tag)
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.flush())
  }

  requeue(tag: number): void {
    if (this.#closed) return
    this.outstanding--
    this.#sent.add(tag)
    // `nack`, not `reject`: from 4.3 on a rejected message counts as a failure of its consumer.
    this.#send(() => this.#channel.nack(rawOf(tag), false, true))
    if (this.outstanding === 0 && !this.#scheduled) this.onIdle?.()
  }

  /** Sends what is gathered at once. */
  flush(): void {
    this.#scheduled = false
    if (this.#closed) return
    const first = this.#floor + 1
    let last = 0
    for (;;) {
      const next = this.#floor + 1
      if (this.#done.delete(next)) last = next
      else if (!this.#sent.delete(next)) break
      this.#floor = next
    }
    if (last > 0) this.#send(() => this.#channel.ack(rawOf(last), last > first))
    for (const tag of this.#done) {
      this.#send(() => this.#channel.ack(rawOf(tag), false))
      this.#sent.add(tag)
    }
    this.#done.clear()
    if (this.outstanding === 0) this.onIdle?.()
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
