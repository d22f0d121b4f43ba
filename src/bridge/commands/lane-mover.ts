import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker, Delivery } from '../../brokers/broker.ts'
import { BrokerError } from '../../model/errors.ts'
import { type Aside, identityOf, movedMessage, SHORTEST_WAIT_MS } from './aside.ts'
import type { LaneQueue } from './lane-queue.ts'

export interface LaneMoverOptions {
  readonly broker: Broker
  readonly park: Aside['park']
  /** The time that all processes on the store agree on. */
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

const MOVE_AGAIN_MS = 500

/** Moves commands to lane queues, and knows which of them may stand in two places. */
export class LaneMover {
  readonly #options: LaneMoverOptions
  /** Under which id a message without one is moved, however often that is tried. */
  readonly #moveIds = new WeakMap<Delivery, string>()
  readonly #inDoubt = new WeakSet<Delivery>()

  constructor(options: LaneMoverOptions) {
    this.#options = options
  }

  /** It may stand elsewhere already, so it must not be carried out from here. */
  isInDoubt(delivery: Delivery): boolean {
    return this.#inDoubt.has(delivery)
  }

  /**
   * A publication that nobody has confirmed may have arrived: the command must not be carried out from here as well, so it
   * is published again, under the same id, until it surely is there. Where the queue itself is silent it goes a long way
   * round, unless that would cost it its place in an order: in hand it would take the place of others, and in the end all
   * places. Resolves to false for one that stays here, because its time is nearly over.
   */
  async move(
    delivery: Delivery,
    lane: LaneQueue,
    { ordered, dueAt }: { readonly ordered: boolean; readonly dueAt: number },
  ): Promise<boolean> {
    const { broker, park, now, log } = this.#options
    const moveId = this.#moveIdOf(delivery)
    const message = movedMessage(delivery.message, now(), moveId)
    for (;;) {
      try {
        const silentMs = ordered ? 0 : lane.silentMs(now())
        if (silentMs > 0) {
          const isInDoubt = this.#inDoubt.has(delivery)
          const waitMs = Math.min(Math.max(silentMs, SHORTEST_WAIT_MS), dueAt - now())
          if (waitMs < SHORTEST_WAIT_MS && !isInDoubt) return false
          if (await park(delivery, Math.max(waitMs, SHORTEST_WAIT_MS), { moveId })) return true
        }
        await broker.publish({ exchange: '', routingKey: lane.queue }, message)
        break
      } catch (error) {
        if (!(error instanceof BrokerError && error.mayBeStored)) throw error
        this.#inDoubt.add(delivery)
        if (error.code === 'CONFIRM_TIMEOUT' && lane.fellSilent(now()))
          log('lane-queue.silent', { portal: lane.domain, queue: lane.queue })
        await sleep(MOVE_AGAIN_MS)
      }
    }
    delivery.ack()
    lane.answered()
    lane.emptySince = undefined
    lane.moved++
    return true
  }

  #moveIdOf(delivery: Delivery): string | undefined {
    if (identityOf(delivery.message) !== undefined) return undefined
    const moveId = this.#moveIds.get(delivery) ?? this.#options.newId()
    this.#moveIds.set(delivery, moveId)
    return moveId
  }
}
