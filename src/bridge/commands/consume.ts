import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Consumer, Delivery } from '../../brokers/broker.ts'
import { BridgeError, BrokerError } from '../../model/errors.ts'
import { Arrivals } from './arrivals.ts'
import { identityOf } from './aside.ts'
import {
  CommandHandler,
  type ConsumeSettings,
  idsOf,
  MOST_HELD_MS,
  type Report,
  type Taken,
} from './handle.ts'
import { HeldByPortal } from './held.ts'
import { createInHand, type InHand } from './in-hand.ts'
import { requestHash } from './ledger.ts'
import { keepDead } from './reply.ts'
import { rejected } from './run.ts'
import { isForeign, isPassing } from './settle.ts'
import { suspectQueue } from './suspects.ts'

/** A queue being served. */
export interface CommandConsumer {
  /** Commands between delivery and acknowledgement. */
  readonly inHand: number
  /** When the oldest of them came; `undefined` while there are none. */
  readonly oldestAt: number | undefined
  /**
   * Takes no more deliveries until `resume`. What is in hand goes on; of a queue that keeps its order (`inOrder`) what was
   * not sent is withdrawn and handed back, and the pause begins when the rest has ended.
   */
  pause(): Promise<void>
  /** With another prefetch than usual when one is given. */
  resume(prefetch?: number): Promise<void>
  /**
   * Takes no more deliveries, withdraws and hands back what was not sent, and waits for the rest, at most
   * `boundMs`. True when nothing is left in hand.
   */
  drain(boundMs: number): Promise<boolean>
}

/** What serves the queue where commands come first. */
export interface CommandServer extends CommandConsumer {
  /**
   * Answers a command whose time was over while it stood there, as the ledger knows it, and settles the delivery, which
   * came by another queue. It is not carried out. False when nothing is taken any more: the delivery was left alone.
   */
  answerExpired(delivery: Delivery): boolean
}

/** One queue of several that are served together. */
export interface QueueConsumer extends CommandServer {
  /** Takes no more deliveries, for good; what is in hand is brought to its end. */
  leave(): Promise<void>
}

/** Begins to serve a queue of commands: parse, run, reply, acknowledge; every delivery ends exactly once. */
export async function consumeCommands(settings: ConsumeSettings): Promise<QueueConsumer> {
  const server = new QueueServer(settings)
  await server.start()
  return server
}

/** Ended commands that are remembered, in case their acknowledgement got lost with the connection. */
const REMEMBERED = 20_000
/** Bodies of commands in hand, at most, give or take what is on its way. */
const MAX_BYTES_IN_HAND = 256 * 1024 * 1024
/** Pause before the next try while the store or the broker is away. */
const PAUSE_MS = 1000

class QueueServer implements QueueConsumer {
  readonly #settings: ConsumeSettings
  readonly #jobs: InHand = createInHand(REMEMBERED)
  #stop = newStop()
  /** With the time of their delivery, oldest first. */
  readonly #running = new Map<Promise<void>, number>()
  /** Commands in hand by the domain of their portal. */
  readonly #portals = new HeldByPortal()
  readonly #arrivals: Arrivals
  readonly #handler: CommandHandler
  #consumer: Consumer | undefined
  /** Bodies in hand. */
  #bytes = 0
  /** For good. */
  #isLeft = false
  /** Set while the queue is left alone for want of memory. */
  #resting: Promise<void> | undefined

  constructor(settings: ConsumeSettings) {
    this.#settings = settings
    const { queue, originQueue = queue } = settings
    this.#arrivals = new Arrivals({ onlyAgain: queue === suspectQueue(originQueue) })
    this.#handler = new CommandHandler(settings, {
      signal: () => this.#stop.signal,
      cameBefore: (delivery, endedAt) => this.#arrivals.cameBefore(delivery, endedAt),
      count: (delivery, domain) => this.#portals.take(delivery, domain),
      back: (delivery) => this.#handBack(delivery),
      pause: () => this.#pause(),
    })
  }

  get inHand(): number {
    return this.#running.size
  }

  get oldestAt(): number | undefined {
    return this.#running.values().next().value
  }

  async start(prefetch = this.#settings.prefetch): Promise<void> {
    const { broker, queue } = this.#settings
    this.#consumer = await broker.consume(queue, { prefetch }, (delivery) => {
      if (this.#stop.signal.aborted) this.#handBack(delivery)
      else this.#hold(delivery, false)
    })
  }

  answerExpired(delivery: Delivery): boolean {
    if (this.#stop.signal.aborted) return false
    this.#hold(delivery, true)
    return true
  }

  #hold(delivery: Delivery, isExpired: boolean): void {
    const { length } = delivery.message.body
    const running = this.#take(delivery, isExpired).finally(() => {
      this.#running.delete(running)
      this.#portals.letGo(delivery)
      this.#weigh(-length)
    })
    this.#running.set(running, this.#settings.now())
    this.#weigh(length)
  }

  /** Prefetch bounds messages, not memory: a queue of huge ones is left alone until half of them are done. */
  #weigh(bytes: number): void {
    this.#bytes += bytes
    const { log, queue } = this.#settings
    if (this.#resting === undefined && this.#bytes > MAX_BYTES_IN_HAND) {
      log('consumer.resting', { queue, bytes: this.#bytes })
      this.#resting = this.#consumer?.stop() ?? Promise.resolve()
    } else if (
      this.#resting !== undefined &&
      this.#bytes < MAX_BYTES_IN_HAND / 2 &&
      !this.#stop.signal.aborted
    ) {
      const resting = this.#resting
      this.#resting = undefined
      resting
        .then(() => this.start())
        .catch((error) =>
          log('consumer.failed', { queue, reason: error instanceof Error ? error.message : '' }),
        )
    }
  }

  async pause(): Promise<void> {
    if (this.#settings.inOrder !== true) return this.#consumer?.stop()
    this.#stop.abort()
    await this.#ended()
    await this.#consumer?.abandon()
  }

  async resume(prefetch?: number): Promise<void> {
    if (this.#settings.inOrder === true && !this.#isLeft) this.#stop = newStop()
    if (!this.#stop.signal.aborted && this.#resting === undefined) await this.start(prefetch)
  }

  async leave(): Promise<void> {
    this.#isLeft = true
    await this.#consumer?.stop()
    await this.#ended()
  }

  async drain(boundMs: number): Promise<boolean> {
    this.#isLeft = true
    const { inOrder = false, suspects } = this.#settings
    if (!inOrder) await this.#consumer?.stop()
    this.#stop.abort()
    suspects?.close()
    const bound = sleep(boundMs, false, { ref: false })
    const inTime = await Promise.race([this.#ended().then(() => true), bound])
    // The next one in the order must not be given anything before this.
    if (inOrder) await this.#consumer?.abandon()
    return inTime
  }

  async #ended(): Promise<void> {
    while (this.#running.size > 0) await Promise.allSettled(this.#running.keys())
  }

  /** Where order matters it stays where it is until the consumer is abandoned: then all go back together. */
  #handBack(delivery: Delivery): void {
    if (this.#settings.inOrder !== true || !this.#stop.signal.aborted) delivery.requeue()
  }

  /** Keeps a delivery that comes back at once from turning in a circle; ends early when we shut down. */
  async #pause(): Promise<void> {
    await sleep(PAUSE_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined)
  }

  /** One delivery from arrival to its end; never rejects. */
  async #take(delivery: Delivery, isExpired: boolean): Promise<void> {
    const startedAt = this.#settings.now()
    const { message } = delivery
    const identity = identityOf(message) ?? requestHash(message)
    const twin = delivery.redelivered ? this.#jobs.claim(identity, delivery) : undefined
    if (twin !== undefined) {
      if (await twin.end) {
        delivery.ack()
        if (!delivery.lost) this.#jobs.forget(twin)
        this.#settings.log('command.twin', { queue: delivery.queue, messageId: message.messageId })
        return
      }
      // The channel broke once more meanwhile: whoever came by the new one takes over.
      if (delivery.lost) return
    }
    const job = this.#jobs.add(identity, delivery)
    this.#arrivals.note(delivery, this.#settings.ledger?.now() ?? startedAt)
    try {
      const report = await this.#inOrder(this.#handler.read(delivery, startedAt, isExpired))
      job.finish(report?.outcome !== 'requeued')
      if (report !== undefined) this.#settings.onSettled({ ...report, ms: this.#settings.now() - startedAt })
    } catch (error) {
      const set = isForeign(error) && (await this.#setAside(delivery, error))
      job.finish(set)
      if (set) return
      await this.#pause()
      this.#handBack(delivery)
      this.#note('command.requeued', delivery, error)
    }
  }

  /** Commands with the same order key: the next one is begun when the one before has ended, or goes back before it. */
  #inOrder(job: Taken): Promise<Report | undefined> {
    const { delivery, command, isExpired } = job
    if (command?.orderKey === undefined || isExpired) return this.#held(job)
    return this.#settings.turns.take(`order ${command.portal ?? ''} ${command.orderKey}`, async () => {
      const { aborted } = this.#stop.signal
      if (aborted || delivery.lost) throw new BrokerError('BROKER_CLOSED', 'Handed back before its turn came')
      return this.#held(job)
    })
  }

  /**
   * While the store is away a command is held here and tried again: handed back, it would come again at once, and RabbitMQ
   * would count each time as one more delivery. One that has a place in an order keeps it for as long as it takes.
   */
  async #held(job: Taken): Promise<Report | undefined> {
    const { now } = this.#settings
    const { delivery, command, takenAt } = job
    for (let isFirst = true; ; isFirst = false) {
      try {
        return await this.#handler.handle(job)
      } catch (error) {
        const isLong = command?.orderKey === undefined && now() - takenAt > MOST_HELD_MS
        if (!isPassing(error) || isLong || this.#stop.signal.aborted || delivery.lost) throw error
        if (isFirst) this.#note('command.held', delivery, error)
        await this.#pause()
      }
    }
  }

  #note(event: string, delivery: Delivery, error: unknown): void {
    this.#settings.log(event, {
      ...idsOf(delivery),
      code: error instanceof BridgeError ? error.code : 'INTERNAL_ERROR',
      reason: error instanceof Error ? error.message : String(error),
    })
  }

  /** An error that nobody foresaw would come again with the message: keep it for people, with the stack in the log. */
  async #setAside(delivery: Delivery, error: unknown): Promise<boolean> {
    try {
      this.#settings.log('command.broken', {
        queue: delivery.queue,
        messageId: delivery.message.messageId,
        err: error,
      })
      const { failure } = rejected(error)
      const contract = this.#settings.contract.name
      const dead = { failure, contract, attempts: 0, unsure: true }
      // Without a queue that takes it the command comes again, rather than being lost.
      if (!(await keepDead(this.#settings, delivery, dead))) return false
      delivery.ack()
      return true
    } catch {
      return false
    }
  }
}

/** Every command in hand listens to it; that is no leak. */
function newStop(): AbortController {
  const stop = new AbortController()
  setMaxListeners(0, stop.signal)
  return stop
}
