import type { Broker, Delivery } from '../../brokers/broker.ts'
import type { Outcome } from '../../model/outcome.ts'
import { movedMessage, originalMessage } from './aside.ts'
import { requestHash } from './ledger.ts'

/** Finds the message that kills the process, without blaming those that were in hand beside it. */
export interface Suspects {
  /**
   * `fine`: carry it out. `moved`: it is on the queue of suspects now, and acknowledged here. An outcome: it has killed
   * processes when it was tried alone; settle it with that.
   */
  look(delivery: Delivery): Promise<'fine' | 'moved' | Outcome>
  /** It was carried out, or handed back, and we are still here. */
  survived(delivery: Delivery): void
  /** The process ends in order, whatever is in hand: nothing is looked at any more, and nothing is to blame for the end. */
  close(): void
}

/** Deliveries that may end with the process before a message is tried alone; prefetch blames them all alike. */
const SUSPICIOUS = 3
/** Where handing back with a delay counts as a delivery too. */
const SUSPICIOUS_WHERE_DELAYS_COUNT = 20
/** How long after the start of a process its messages are looked at like that. */
const SUSPICION_MS = 120_000

/** The queue of suspects of a command queue. */
export function suspectQueue(commandQueue: string): string {
  return `${commandQueue}.suspect`
}

/** Names a message in the store, on whichever queue it stands. */
export function suspectId({ message }: Delivery): string {
  return `${requestHash(originalMessage(message))} ${message.messageId ?? ''}`.slice(0, 240)
}

/** Counts for queues that do not: in how many processes a message was in hand. */
export interface TakenStore {
  /** It is in hand here now. In how many processes it was before, as far as somebody has counted. */
  taken(id: string): Promise<number>
  /** It has ended, or went elsewhere. */
  forget(id: string): Promise<void>
}

/**
 * On a queue with all kinds of commands, in the first minutes of a process: what was handed out three times already is
 * given to `next`, which moves it (`moveSuspects`) or tries it (`trySuspects`). Quorum queues and the embedded broker count
 * deliveries, also when a connection ends; of a classic queue is known only that it was no first one, so there it is
 * counted in the store, from the second time on.
 *
 * https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
 */
export function watchForSuspects({
  broker,
  store,
  next,
  now,
}: {
  readonly broker: Broker
  readonly store: TakenStore
  readonly next: Suspects
  readonly now: () => number
}): Suspects {
  const startedAt = now()
  const most = broker.features.delayedRequeue ? SUSPICIOUS_WHERE_DELAYS_COUNT : SUSPICIOUS
  const counted = new Set<Delivery>()
  const looked = new Set<Delivery>()
  const forget = (delivery: Delivery): void => {
    if (counted.delete(delivery)) store.forget(suspectId(delivery)).catch(() => undefined)
  }

  async function timesBefore(delivery: Delivery): Promise<number> {
    const { redelivered, deliveryCount, message } = delivery
    const counts = broker.features.delayedRequeue || 'x-delivery-count' in message.headers
    if (counts || !redelivered) return deliveryCount
    try {
      const times = 1 + (await store.taken(suspectId(delivery)))
      counted.add(delivery)
      return times
    } catch {
      // The store is away: nobody is suspected for that.
      return deliveryCount
    }
  }

  return {
    async look(delivery) {
      // What kills processes is met again right after the start; later on, deliveries are counted for other reasons.
      if (now() - startedAt > SUSPICION_MS || (await timesBefore(delivery)) < most) return 'fine'
      const verdict = await next.look(delivery)
      if (verdict === 'fine') looked.add(delivery)
      else forget(delivery)
      return verdict
    },
    survived(delivery) {
      forget(delivery)
      if (looked.delete(delivery)) next.survived(delivery)
    },
    close: () => next.close(),
  }
}

/** Moves to the queue of suspects, which `ensure` makes; there they are tried. */
export function moveSuspects(
  queue: string,
  {
    broker,
    now,
    log,
    ensure,
  }: {
    readonly broker: Broker
    readonly now: () => number
    readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
    readonly ensure: () => Promise<void>
  },
): Suspects {
  return {
    async look(delivery) {
      await ensure()
      await broker.publish({ exchange: '', routingKey: queue }, movedMessage(delivery.message, now()))
      delivery.ack()
      log('command.suspected', { queue: delivery.queue, messageId: delivery.message.messageId })
      return 'moved'
    },
    survived: () => undefined,
    close: () => undefined,
  }
}
