import type { ChannelModel, ConfirmChannel, Options, Message as RawMessage } from 'amqplib'
import { BrokerError } from '../../model/errors.ts'
import { brokerClosed, nacked, placeOf, timedOut, unroutable, withdrawn } from '../errors.ts'
import { blameFor } from './blame.ts'
import { closeChannel, watchChannel } from './channel.ts'
import type { AmqpLink, BrokerLogger } from './connection.ts'
import { reasonText } from './errors.ts'

export interface PublishingChannelOptions {
  readonly link: AmqpLink
  readonly confirmTimeoutMs: number
  /** Sent and not yet confirmed, at most; further publications wait. */
  readonly maxInFlight: number
  readonly maxInFlightBytes: number
  /**
   * Hears of all publications that the broker has before it, oldest first, when it has said nothing for `silenceMs` while
   * somebody waits; again and again.
   */
  readonly onSilence?: (sent: Iterable<Publication>) => void
  /** Hears of each that was not confirmed in time. */
  readonly onLate?: (publication: Publication) => void
  readonly silenceMs: number
  readonly logger: BrokerLogger
  readonly now: () => number
}

/** A message on its way, and whoever waits for its end. */
export interface Publication {
  readonly exchange: string
  readonly routingKey: string
  readonly body: Buffer
  readonly properties: Options.Publish
  readonly deadline: number
  readonly signal: AbortSignal | undefined
  sentAt: number
  /** Set when the broker returned it; the confirm that follows then means "seen", not "kept". */
  returned: string | undefined
  resolve(): void
  reject(error: Error): void
}

/** After trouble all must have been confirmed in time for so long, in milliseconds. */
const HEALED_MS = 60_000

interface Confirm {
  readonly deliveryTag: number
  readonly multiple: boolean
}

/**
 * One channel with confirms: each publication ends exactly once, as the broker confirms it, refuses it, returns it, or
 * time or the connection runs out. Those beyond the in-flight bounds, and all while the broker is away or blocked, wait
 * in order.
 *
 * The broker answers a publication that it cannot accept (missing exchange, no permission) by closing the channel, with
 * no word on which one it was. Those caught by it are sent again, which may double a message that had already been
 * stored: first the ones of the exchange that the broker named are rejected, otherwise all go one at a time until the
 * guilty one stands alone.
 *
 * https://www.rabbitmq.com/docs/confirms#publisher-confirms and https://www.rabbitmq.com/docs/publishers#unroutable
 */
export class PublishingChannel {
  readonly #options: PublishingChannelOptions
  readonly #sweep: NodeJS.Timeout
  readonly #leaveLink: () => void
  #channel: ConfirmChannel | undefined
  #nextTag = 1
  /** When the broker said something last, or had nothing to say something about. */
  #heardAt: number
  #bytes = 0
  #full = false
  /** Nothing is accepted any more. */
  #closed = false
  /** Nothing is waited for any more. */
  #ended = false
  /** Publications still to be tried one at a time. */
  #suspects = 0
  /** Sent, by delivery tag, lowest first. */
  #pending = new Map<number, Publication>()
  /** Sent, and given up by whoever waited: the broker has them before it still. */
  #givenUp = new Map<number, Publication>()
  /** When something was not confirmed in time, or the channel was made. */
  #troubleAt: number
  /** When something was confirmed last. */
  #confirmedAt = 0
  #silentLooks = 0
  /** To be sent, in order. */
  #waiting = new Set<Publication>()
  #idle: (() => void) | undefined

  constructor(options: PublishingChannelOptions) {
    this.#options = options
    this.#heardAt = options.now()
    this.#troubleAt = this.#heardAt
    this.#leaveLink = options.link.onUp((model) => void this.#open(model))
    this.#sweep = setInterval(
      () => this.#expire(),
      Math.max(20, Math.min(1000, options.confirmTimeoutMs / 4)),
    )
    this.#sweep.unref()
  }

  get unconfirmed(): number {
    return this.#pending.size
  }

  /** Nothing is on its way, and the broker has said so of everything before. */
  get idle(): boolean {
    return this.#pending.size + this.#waiting.size + this.#givenUp.size === 0
  }

  /** The broker has confirmed all in time for a minute. */
  get healthy(): boolean {
    const { now } = this.#options
    return this.#confirmedAt > this.#troubleAt && now() - this.#troubleAt > HEALED_MS
  }

  add(publication: Publication): void {
    if (this.#closed) {
      publication.reject(brokerClosed())
      return
    }
    this.#waiting.add(publication)
    this.#pump()
  }

  /** Those that have not been sent yet and are chosen: from now on they are the caller's. */
  takeWaiting(chosen: (publication: Publication) => boolean): Publication[] {
    const taken = [...this.#waiting].filter(chosen)
    for (const publication of taken) this.#waiting.delete(publication)
    return taken
  }

  /** Sends what waited for the broker to be unblocked. */
  resume(): void {
    this.#pump()
  }

  /** Waits, at most `patienceMs`, until everything accepted has ended; what is left then is rejected. */
  async close(patienceMs: number): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    if (this.#pending.size + this.#waiting.size > 0) {
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#idle = resolve
        timer = setTimeout(resolve, patienceMs)
      })
      clearTimeout(timer)
    }
    this.#ended = true
    clearInterval(this.#sweep)
    this.#leaveLink()
    for (const publication of this.takeWaiting(() => true)) publication.reject(brokerClosed())
    this.#dropPending('the program closed the connection')
    if (this.#channel !== undefined) void closeChannel(this.#channel)
  }

  async #open(model: ChannelModel): Promise<void> {
    const { link, logger } = this.#options
    while (link.model === model && !this.#ended) {
      try {
        const { channel, ended } = watchChannel(await model.createConfirmChannel())
        channel.on('ack', (confirm) => this.#confirmed(confirm, false))
        channel.on('nack', (confirm) => this.#confirmed(confirm, true))
        channel.on('return', (returned) => this.#returned(returned))
        channel.on('drain', () => {
          this.#full = false
          this.#pump()
        })
        if (this.#ended) return await closeChannel(channel)
        this.#nextTag = 1
        this.#full = false
        this.#channel = channel
        this.#pump()
        const error = await ended
        this.#channel = undefined
        if (error === undefined) {
          this.#dropPending('the connection was lost')
          return
        }
        logger('publisher.channel_closed', { reason: reasonText(error), caught: this.#pending.size })
        this.#sortOut(error)
      } catch (error) {
        logger('publisher.channel_failed', { reason: reasonText(error) })
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
    }
  }

  #pump(): void {
    const { maxInFlight, maxInFlightBytes, link } = this.#options
    if (this.#full || link.blocked) return
    const most = this.#suspects > 0 ? 1 : maxInFlight
    for (const publication of this.#waiting) {
      if (publication.signal?.aborted === true) {
        this.#waiting.delete(publication)
        publication.reject(withdrawn(publication))
        continue
      }
      const channel = this.#channel
      if (channel === undefined || this.#full || this.#pending.size + this.#givenUp.size >= most) return
      if (this.#pending.size > 0 && this.#bytes + publication.body.length > maxInFlightBytes) return
      this.#send(channel, publication)
    }
  }

  #send(channel: ConfirmChannel, publication: Publication): void {
    const { exchange, routingKey, body, properties } = publication
    try {
      if (!channel.publish(exchange, routingKey, body, properties)) this.#full = true
    } catch (error) {
      if (error instanceof Error && error.name === 'IllegalOperationError') {
        // The channel ended a moment ago; its replacement will send this.
        this.#channel = undefined
        return
      }
      this.#waiting.delete(publication)
      publication.reject(
        new BrokerError('MESSAGE_INVALID', `The message cannot be written in AMQP: ${reasonText(error)}`, {
          cause: error,
        }),
      )
      return
    }
    this.#waiting.delete(publication)
    publication.sentAt = this.#options.now()
    this.#pending.set(this.#nextTag++, publication)
    this.#bytes += body.length
  }

  #confirmed(confirm: Confirm, refused: boolean): void {
    this.#heardAt = this.#options.now()
    if (!refused) this.#confirmedAt = this.#heardAt
    if (confirm.multiple) {
      for (const tag of this.#givenUp.keys()) if (tag <= confirm.deliveryTag) this.#givenUp.delete(tag)
      for (const tag of this.#pending.keys()) {
        if (tag > confirm.deliveryTag) break
        this.#end(tag, refused)
      }
    } else {
      this.#givenUp.delete(confirm.deliveryTag)
      this.#end(confirm.deliveryTag, refused)
    }
    this.#settleDown()
  }

  #end(tag: number, refused: boolean): void {
    const publication = this.#take(tag)
    // None: it ran out of time before.
    if (publication === undefined) return
    if (this.#suspects > 0) this.#suspects--
    if (publication.returned !== undefined) publication.reject(unroutable(publication, publication.returned))
    else if (refused)
      publication.reject(nacked(publication, 'the broker refused it, most often because a queue is full'))
    else publication.resolve()
  }

  /** The broker returns a message before it confirms it. */
  #returned(returned: RawMessage): void {
    const fields = returned.fields as unknown as { exchange: string; routingKey: string; replyText: string }
    const { messageId } = returned.properties
    for (const publication of this.#pending.values()) {
      if (publication.returned !== undefined || publication.properties.messageId !== messageId) continue
      if (publication.exchange !== fields.exchange || publication.routingKey !== fields.routingKey) continue
      publication.returned = fields.replyText
      return
    }
  }

  /** The broker closed the channel because of one of the publications sent over it. */
  #sortOut(error: Error): void {
    const caught = [...this.#pending.values()]
    this.#forgetSent()
    const innocent = caught.filter((publication) => {
      const blame = blameFor(error, publication, caught.length === 1)
      if (blame !== undefined) publication.reject(blame)
      return blame === undefined
    })
    const guilty = caught.length - innocent.length
    for (const publication of innocent) publication.returned = undefined
    this.#waiting = new Set([...innocent, ...this.#waiting])
    this.#suspects = guilty > 0 ? Math.max(0, this.#suspects - guilty) : innocent.length
    this.#settleDown()
  }

  #expire(): void {
    const { now: clock, confirmTimeoutMs, link, onLate } = this.#options
    const now = clock()
    // Those that came from another channel may have more time left than those behind them.
    for (const [tag, publication] of this.#pending) {
      if (publication.deadline > now) continue
      this.#take(tag)
      this.#givenUp.set(tag, publication)
      this.#troubleAt = now
      if (this.#suspects > 0) this.#suspects--
      publication.reject(timedOut(publication, confirmTimeoutMs))
      if (!link.blocked) onLate?.(publication)
    }
    for (const publication of this.#waiting) {
      if (publication.deadline > now) continue
      this.#waiting.delete(publication)
      publication.reject(timedOut(publication, confirmTimeoutMs))
    }
    this.#settleDown()
    this.#listen(now)
  }

  /**
   * A broker that is blocked only takes its time; one without questions has nothing to answer. Heard of at the second look
   * only: after a standstill of our own the answers are there, and have not been read yet.
   */
  #listen(now: number): void {
    const { link, silenceMs, onSilence } = this.#options
    const [waits] = (this.#pending.size > 0 ? this.#pending : this.#givenUp).values()
    const nobodyWaits = waits === undefined || this.#pending.size + this.#waiting.size === 0
    if (nobodyWaits || link.blocked || this.#channel === undefined) this.#heardAt = now
    const isSilent = !nobodyWaits && now - Math.max(this.#heardAt, waits.sentAt) > silenceMs
    this.#silentLooks = isSilent ? this.#silentLooks + 1 : 0
    if (this.#silentLooks > 1) onSilence?.([...this.#givenUp.values(), ...this.#pending.values()])
  }

  #forgetSent(): void {
    this.#pending.clear()
    this.#givenUp.clear()
    this.#bytes = 0
  }

  #dropPending(why: string): void {
    const lost = [...this.#pending.values()]
    this.#forgetSent()
    this.#suspects = Math.max(0, this.#suspects - lost.length)
    for (const publication of lost) {
      const sentence = `Nobody can tell whether the message to ${placeOf(publication)} was stored: ${why}`
      publication.reject(new BrokerError('CONNECTION_LOST', sentence))
    }
    this.#settleDown()
  }

  #take(tag: number): Publication | undefined {
    const publication = this.#pending.get(tag)
    if (publication === undefined) return undefined
    this.#pending.delete(tag)
    this.#bytes -= publication.body.length
    return publication
  }

  #settleDown(): void {
    if (this.#waiting.size > 0) this.#pump()
    if (this.#pending.size + this.#waiting.size === 0) {
      this.#suspects = 0
      this.#idle?.()
    }
  }
}
