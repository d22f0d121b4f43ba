import { setTimeout as sleep } from 'node:timers/promises'
import type { Delivery } from '../../brokers/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import type { Portal } from '../portals.ts'
import type { Aside } from './aside.ts'
import type { QueueConsumer } from './consume.ts'
import { type Held, mayHold } from './held.ts'
import { LaneMover, type LaneMoverOptions } from './lane-mover.ts'
import { isBlocked, LaneQueue, type LaneQueueStore, oldestOf, type Reading } from './lane-queue.ts'

export interface LaneQueuesOptions extends LaneMoverOptions {
  readonly store: LaneQueueStore
  /** Lane queues are called this, a dot, and the domain of the portal. */
  readonly prefix: string
  /** Deliveries of the common queue that may be in hand. */
  readonly prefetch: number
  /** Other processes may take commands from the common queue. */
  readonly shared: boolean
  /** The portals that are in use. */
  readonly portals: () => readonly Pick<Portal, 'domain' | 'lane'>[]
  readonly serve: (queue: string) => Promise<QueueConsumer>
  /** Hears how many lane queues there are, every second. */
  readonly onSize?: (count: number) => void
}

const TICK_MS = 1000
const LEARN_MS = 10_000
const EMPTY_MS = 5000
const NOTE_MS = 60_000
const UNUSED_MS = 10 * 60_000
/** A broker that lets us make no queue is not asked again for so long. */
const REFUSED_MS = 30_000
/** A portal that rests for longer is not tried by the next command every time. */
const LONG_REST_MS = 60_000

/**
 * Queues of their own for portals with a backlog, so that the common queue never stands still because of one of them.
 *
 * | state of a portal | its commands on the common queue |
 * | --- | --- |
 * | no lane queue | are carried out, up to its share (`mayHold`); what comes beyond that opens a lane queue |
 * | moving | are moved to its lane queue, which is served beside the common one |
 * | a command has an order key | is moved always: a lane queue has one consumer at a time |
 * | cannot be called | are moved too, but for those with a deadline: they come back in time to be answered |
 * | its lane queue was empty for five seconds | are carried out again |
 *
 * The lane queue of a portal that cannot be called is read one command at a time, as the next try, and not at all while it
 * rests for long. With one portal, and one process, there is nobody to stand in the way of, and nothing is moved. A lane
 * queue is noted in the store before the first command goes there, so that a restart finds it; unused for ten minutes, it
 * is deleted.
 */
export class LaneQueues {
  readonly #options: LaneQueuesOptions
  readonly #lanes = new Map<string, LaneQueue>()
  /** Consumers of queues that are gone, while they bring to its end what they have in hand. */
  readonly #leaving = new Set<QueueConsumer>()
  readonly #mover: LaneMover
  #timer: NodeJS.Timeout | undefined
  #learnedAt = 0
  #refusedUntil = 0
  #draining = false

  constructor(options: LaneQueuesOptions) {
    this.#options = options
    this.#mover = new LaneMover(options)
  }

  /** Finds the lane queues of earlier processes, and looks after all of them from now on. Comes before the common queue. */
  async start(): Promise<void> {
    await this.#learn()
    this.#timer = setInterval(() => void this.#tick(), TICK_MS)
  }

  /** Commands of lane queues between delivery and acknowledgement. */
  get inHand(): number {
    return this.#consumers().reduce((sum, { inHand }) => sum + inHand, 0)
  }

  /** When the oldest of them came. */
  get oldestAt(): number | undefined {
    return oldestOf(this.#consumers())
  }

  #consumers(): QueueConsumer[] {
    return [...[...this.#lanes.values()].flatMap(({ consumer }) => consumer ?? []), ...this.#leaving]
  }

  /** Moves the delivery when its portal is to use a queue of its own; see `Aside.admit`. */
  async admit(
    delivery: Delivery,
    { portal, ordered, deadlineMs, ...held }: Parameters<Aside['admit']>[1],
  ): Promise<boolean> {
    const { broker, now, park, log } = this.#options
    const keepsOrder = ordered && this.#isWorthIt()
    const moves = this.#lanes.get(portal.domain)?.moving === true || this.#isTooMuch(portal, held)
    const mustMove = keepsOrder || this.#mover.isInDoubt(delivery)
    if (!mustMove && !moves) return false
    // On a queue that nobody reads its time would pass without a word. The embedded broker would not know how old it is.
    if (!mustMove && !ordered && deadlineMs !== undefined && isBlocked(portal))
      return (
        !broker.features.delayedRequeue &&
        park(delivery, deadlineMs > LONG_REST_MS ? LONG_REST_MS / 2 : Math.min(deadlineMs, 5000))
      )
    if (now() < this.#refusedUntil && !mustMove) return false
    const dueAt = now() + (deadlineMs ?? Number.POSITIVE_INFINITY)
    try {
      return await this.#mover.move(delivery, await this.#open(portal.domain), { ordered, dueAt })
    } catch (error) {
      this.#refusedUntil = now() + REFUSED_MS
      const reason = error instanceof BrokerError ? error.code : String(error)
      log('lane-queue.refused', { portal: portal.domain, reason })
      // It stays where it is; the common queue is slower then, and nothing is lost.
      if (!keepsOrder && !this.#mover.isInDoubt(delivery)) return false
      throw new BrokerError('NOT_MOVED', 'The command cannot be moved to the queue of its portal now', {
        cause: error,
      })
    }
  }

  async drain(boundMs: number): Promise<boolean> {
    this.#draining = true
    clearInterval(this.#timer)
    const bound = sleep(boundMs, false, { ref: false })
    const left = [...this.#leaving].map((consumer) =>
      Promise.race([consumer.leave().then(() => true), bound]),
    )
    const drained = [...this.#lanes.values()].map((lane) => lane.drain(boundMs))
    return (await Promise.all([...left, ...drained])).every(Boolean)
  }

  #isWorthIt(): boolean {
    return this.#options.shared || this.#options.portals().length > 1
  }

  #isTooMuch(portal: Portal, { held, all }: Held): boolean {
    const { portals, prefetch } = this.#options
    if (portals().length < 2) return false
    const isBeyond = (blocked: boolean): boolean => held > mayHold({ all }, { prefetch, isBlocked: blocked })
    // Asked for each command: the lane is looked at only where it matters.
    return isBeyond(true) && (isBeyond(false) || isBlocked(portal))
  }

  async #open(domain: string): Promise<LaneQueue> {
    const { now, prefix } = this.#options
    const known = this.#lanes.get(domain) ?? this.#add(`${prefix}.${domain}`, domain)
    known.emptySince = undefined
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
    const { domain, queue } = known
    await store.alone(queue, async () => {
      await store.note(queue, domain, now())
      await broker.declare({
        mode: 'declare',
        exchanges: [],
        queues: [
          { name: queue, durable: true, type: 'quorum', arguments: { 'x-single-active-consumer': true } },
        ],
        bindings: [],
      })
    })
    known.notedAt = now()
    if (!known.moving) log('lane-queue.opened', { portal: domain, queue })
    known.moving = true
    known.emptySince = undefined
  }

  #add(queue: string, domain: string): LaneQueue {
    const lane = new LaneQueue(queue, domain, this.#options.serve)
    this.#lanes.set(domain, lane)
    return lane
  }

  async #tick(): Promise<void> {
    const { now, onSize } = this.#options
    if (now() - this.#learnedAt >= LEARN_MS) await this.#learn().catch((error) => this.#tell(error))
    if (this.#draining) return
    for (const lane of this.#lanes.values()) {
      lane.looking ??= this.#look(lane)
        .catch((error) => this.#tell(error, lane))
        .finally(() => {
          lane.looking = undefined
        })
    }
    onSize?.(this.#lanes.size)
  }

  #tell(error: unknown, lane?: LaneQueue): void {
    const reason = error instanceof Error ? error.message : String(error)
    this.#options.log('lane-queue.trouble', { portal: lane?.domain, reason })
  }

  /** Lane queues that other processes have opened. What stands there is older than what comes now. */
  async #learn(): Promise<void> {
    const { store, now, prefix } = this.#options
    this.#learnedAt = now()
    for (const { queue, domain } of await store.list())
      if (!this.#lanes.has(domain) && queue === `${prefix}.${domain}`) this.#add(queue, domain).moving = true
  }

  async #look(lane: LaneQueue): Promise<void> {
    if (lane.opening !== undefined) return
    const { broker, now, log } = this.#options
    const info = await broker.queueInfo(lane.queue)
    if (info === undefined) {
      this.#vanished(lane)
      return
    }
    await lane.read(this.#readingOf(lane))
    // Without a leader a queue seems to be empty, and to have nobody who reads it.
    if (info.messages > 0 || info.consumers === 0 || (lane.consumer?.inHand ?? 0) > 0) {
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

  #readingOf({ domain }: LaneQueue): Reading {
    const portal = this.#options.portals().find((one) => one.domain === domain)
    if (portal === undefined || !isBlocked(portal)) return 'full'
    return portal.lane.stats().restMs > LONG_REST_MS ? 'none' : 'probe'
  }

  /**
   * Whoever moves commands there says so every minute, so a queue without a word for ten has nobody left. Another process
   * may still have some in hand: then it is one of its consumers.
   */
  async #remove(lane: LaneQueue): Promise<void> {
    const { store, broker, now } = this.#options
    await store.alone(lane.queue, async () => {
      const row = (await store.list()).find(({ queue }) => queue === lane.queue)
      if (row !== undefined && now() - row.usedAt < UNUSED_MS) return
      this.#lanes.delete(lane.domain)
      await lane.drain(60_000)
      const info = await broker.queueInfo(lane.queue)
      if (info !== undefined && (info.messages > 0 || info.consumers > 0)) return
      if (info !== undefined) await broker.deleteQueue(lane.queue)
      await store.forget(lane.queue)
    })
  }

  /** Another process has deleted it, or an operator: what is in hand is nowhere else any more. */
  #vanished(lane: LaneQueue): void {
    this.#lanes.delete(lane.domain)
    const { consumer } = lane
    if (consumer === undefined) return
    this.#leaving.add(consumer)
    void consumer.leave().finally(() => this.#leaving.delete(consumer))
  }
}
