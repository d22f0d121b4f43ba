import type { Broker, Delivery } from '../../brokers/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import type { Portal } from '../portals.ts'
import { type Aside, movedMessage } from './aside.ts'
import { type Held, mayHold } from './held.ts'

/** Serves one queue; see `consumeCommands`. */
export interface LaneConsumer {
  readonly inHand: number
  readonly oldestAt: number | undefined
  pause(): Promise<void>
  resume(): Promise<void>
  drain(boundMs: number): Promise<boolean>
}

/** The lane queues that exist, for all processes and for the next start. */
export interface LaneQueueStore {
  /** Names it, or says that it is in use still. */
  note(queue: string, domain: string, now: number): Promise<void>
  list(): Promise<readonly { readonly queue: string; readonly domain: string; readonly usedAt: number }[]>
  forget(queue: string): Promise<void>
}

export interface LaneQueuesOptions {
  readonly broker: Broker
  readonly store: LaneQueueStore
  /** Lane queues are called this, a dot, and the domain of the portal. */
  readonly prefix: string
  /** Deliveries of the common queue that may be in hand. */
  readonly prefetch: number
  /** Processes that take commands from the common queue. */
  readonly instances: () => number
  /** The portals that are in use. */
  readonly portals: () => readonly Pick<Portal, 'domain' | 'lane'>[]
  readonly serve: (queue: string) => Promise<LaneConsumer>
  /** Hears how many lane queues there are, every second. */
  readonly onSize?: (count: number) => void
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

interface LaneQueue {
  readonly queue: string
  readonly domain: string
  /** New commands of the portal go there; false once it has been empty for a while. */
  moving: boolean
  consumer: LaneConsumer | undefined
  paused: boolean
  emptySince: number | undefined
  notedAt: number
  moved: number
  /** Set while the queue is being made. */
  opening: Promise<void> | undefined
}

const TICK_MS = 1000
const LEARN_MS = 10_000
const EMPTY_MS = 5000
const NOTE_MS = 60_000
const UNUSED_MS = 10 * 60_000
/** A broker that lets us make no queue is not asked again for so long. */
const REFUSED_MS = 30_000

/**
 * Queues of their own for portals with a backlog, so that the common queue never stands still because of one of them.
 *
 * | state of a portal | its commands on the common queue |
 * | --- | --- |
 * | no lane queue | are carried out, up to its share (`mayHold`); what comes beyond that opens a lane queue |
 * | moving | are moved to its lane queue, which is served beside the common one |
 * | a command has an order key, and several processes run | is moved: a lane queue has one consumer at a time |
 * | cannot be called | the same, and the lane queue is left alone meanwhile |
 * | its lane queue was empty for five seconds | are carried out again |
 *
 * With one portal there is nobody to stand in the way of, and nothing is moved. A lane queue is noted in the store before
 * the first command goes there, so that a restart finds it; unused for ten minutes, it is deleted.
 */
export class LaneQueues {
  readonly #options: LaneQueuesOptions
  readonly #lanes = new Map<string, LaneQueue>()
  #timer: NodeJS.Timeout | undefined
  #learnedAt = 0
  #refusedUntil = 0
  #ticking = false

  constructor(options: LaneQueuesOptions) {
    this.#options = options
  }

  /** Finds the lane queues of earlier processes, and looks after all of them from now on. */
  async start(): Promise<void> {
    await this.#learn()
    this.#timer = setInterval(() => void this.#tick(), TICK_MS)
  }

  /** Commands of lane queues between delivery and acknowledgement. */
  get inHand(): number {
    let inHand = 0
    for (const { consumer } of this.#lanes.values()) inHand += consumer?.inHand ?? 0
    return inHand
  }

  /** When the oldest of them came. */
  get oldestAt(): number | undefined {
    return oldestOf([...this.#lanes.values()].map(({ consumer }) => consumer))
  }

  /** Moves the delivery when its portal is to use a queue of its own; see `Aside.admit`. */
  async admit(
    delivery: Delivery,
    { portal, ordered, ...held }: Parameters<Aside['admit']>[1],
  ): Promise<boolean> {
    const known = this.#lanes.get(portal.domain)
    // Only one process at a time is given the messages of a lane queue, in their order.
    const shared = ordered && this.#options.instances() > 1
    if (known?.moving !== true && !shared && !this.#isTooMuch(portal, held)) return false
    if (this.#options.now() < this.#refusedUntil) return false
    try {
      await this.#move(delivery, await this.#open(portal.domain))
      return true
    } catch (error) {
      // It stays where it is; the common queue is slower then, and nothing is lost.
      this.#refusedUntil = this.#options.now() + REFUSED_MS
      this.#options.log('lane-queue.refused', {
        portal: portal.domain,
        reason: error instanceof BrokerError ? error.code : String(error),
      })
      return false
    }
  }

  async drain(boundMs: number): Promise<boolean> {
    clearInterval(this.#timer)
    const ended = await Promise.all(
      [...this.#lanes.values()].map(({ consumer }) => consumer?.drain(boundMs) ?? true),
    )
    return ended.every(Boolean)
  }

  #isTooMuch({ lane }: Portal, { held, all }: Held): boolean {
    const { portals, prefetch } = this.#options
    if (portals().length < 2) return false
    return held > mayHold({ all }, { prefetch, isBlocked: lane.stats().trouble !== undefined })
  }

  async #open(domain: string): Promise<LaneQueue> {
    const { now, prefix } = this.#options
    const known = this.#lanes.get(domain) ?? this.#add(`${prefix}.${domain}`, domain)
    if (known.moving && now() - known.notedAt < NOTE_MS) return known
    // Many commands of one portal come at once: the first makes the queue for all.
    known.opening ??= this.#make(known).finally(() => {
      known.opening = undefined
    })
    await known.opening
    return known
  }

  async #make(known: LaneQueue): Promise<void> {
    const { broker, store, now, log } = this.#options
    const { domain } = known
    await store.note(known.queue, domain, now())
    await broker.declare({
      mode: 'declare',
      exchanges: [],
      queues: [
        {
          name: known.queue,
          durable: true,
          type: 'quorum',
          arguments: { 'x-single-active-consumer': true },
        },
      ],
      bindings: [],
    })
    known.notedAt = now()
    if (!known.moving) log('lane-queue.opened', { portal: domain, queue: known.queue })
    known.moving = true
    known.emptySince = undefined
  }

  #add(queue: string, domain: string): LaneQueue {
    const lane: LaneQueue = {
      queue,
      domain,
      moving: false,
      consumer: undefined,
      paused: false,
      emptySince: undefined,
      notedAt: 0,
      moved: 0,
      opening: undefined,
    }
    this.#lanes.set(domain, lane)
    return lane
  }

  async #move(delivery: Delivery, lane: LaneQueue): Promise<void> {
    const { broker, now } = this.#options
    const message = movedMessage(delivery.message, now())
    await broker.publish({ exchange: '', routingKey: lane.queue }, message)
    delivery.ack()
    lane.moved++
  }

  async #tick(): Promise<void> {
    if (this.#ticking) return
    this.#ticking = true
    try {
      if (this.#options.now() - this.#learnedAt >= LEARN_MS) await this.#learn()
      for (const lane of this.#lanes.values()) await this.#look(lane)
    } catch (error) {
      this.#options.log('lane-queue.trouble', {
        reason: error instanceof Error ? error.message : String(error),
      })
    } finally {
      this.#options.onSize?.(this.#lanes.size)
      this.#ticking = false
    }
  }

  /** Lane queues that other processes have opened. */
  async #learn(): Promise<void> {
    const { store, now, prefix } = this.#options
    for (const { queue, domain } of await store.list())
      if (!this.#lanes.has(domain) && queue === `${prefix}.${domain}`) this.#add(queue, domain)
    this.#learnedAt = now()
  }

  async #look(lane: LaneQueue): Promise<void> {
    if (lane.opening !== undefined) return
    const { portals, serve, broker, now, log } = this.#options
    const blocked =
      portals()
        .find(({ domain }) => domain === lane.domain)
        ?.lane.stats().trouble !== undefined
    if (blocked) {
      if (lane.consumer !== undefined && !lane.paused) {
        lane.paused = true
        await lane.consumer.pause()
      }
      return
    }
    const info = await broker.queueInfo(lane.queue)
    if (info === undefined) {
      await this.#close(lane)
      return
    }
    if (lane.consumer === undefined) lane.consumer = await serve(lane.queue)
    else if (lane.paused) await lane.consumer.resume()
    lane.paused = false
    if (info.messages > 0 || lane.consumer.inHand > 0) {
      lane.emptySince = undefined
      return
    }
    lane.emptySince ??= now()
    if (lane.moving && now() - lane.emptySince > EMPTY_MS) {
      lane.moving = false
      log('lane-queue.drained', { portal: lane.domain, queue: lane.queue, moved: lane.moved })
      lane.moved = 0
    }
    if (!lane.moving && now() - lane.emptySince > UNUSED_MS) await this.#remove(lane)
  }

  /** Whoever moves commands there says so every minute, so a queue without a word for ten has nobody left. */
  async #remove(lane: LaneQueue): Promise<void> {
    const { store, broker, now } = this.#options
    const row = (await store.list()).find(({ queue }) => queue === lane.queue)
    if (row !== undefined && now() - row.usedAt < UNUSED_MS) return
    await this.#close(lane)
    if ((await broker.queueInfo(lane.queue))?.messages === 0) await broker.deleteQueue(lane.queue)
    await store.forget(lane.queue)
  }

  async #close(lane: LaneQueue): Promise<void> {
    this.#lanes.delete(lane.domain)
    await lane.consumer?.drain(60_000)
  }
}

/** The earliest arrival among the commands in hand of several; `undefined` while none has any. */
export function oldestOf(parts: readonly (Pick<LaneConsumer, 'oldestAt'> | undefined)[]): number | undefined {
  const times = parts.flatMap((part) => (part?.oldestAt === undefined ? [] : [part.oldestAt]))
  return times.length === 0 ? undefined : Math.min(...times)
}
