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
}

/** Deliveries that may end with the process before a message is tried alone; prefetch blames them all alike. */
const SUSPICIOUS = 3
/** Where handing back with a delay counts as a delivery too. */
const SUSPICIOUS_WHERE_DELAYS_COUNT = 20

/** The queue of suspects of a command queue. */
export function suspectQueue(commandQueue: string): string {
  return `${commandQueue}.suspect`
}

/**
 * On the common queue, in the first minutes of a process: what the broker has handed out three times already goes to the queue of suspects, which is served
 * one message at a time; `ensure` makes it. Every broker that counts deliveries does so when a connection ends.
 *
 * https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
 */
export function sendSuspectsTo(
  queue: string,
  {
    broker,
    now,
    log,
    ensure,
  }: SuspectParts & { readonly broker: Broker; readonly ensure: () => Promise<void> },
): Suspects {
  const startedAt = now()
  const most = broker.features.delayedRequeue ? SUSPICIOUS_WHERE_DELAYS_COUNT : SUSPICIOUS
  return {
    async look(delivery) {
      // What kills processes is met again right after the start; later on, deliveries are counted for other reasons.
      if (delivery.deliveryCount < most || now() - startedAt > SUSPICION_MS) return 'fine'
      await ensure()
      await broker.publish({ exchange: '', routingKey: queue }, movedMessage(delivery.message, now()))
      delivery.ack()
      log('command.suspected', { queue: delivery.queue, messageId: delivery.message.messageId })
      return 'moved'
    },
    survived: () => undefined,
  }
}

/** How long after the start of a process its messages are looked at like that. */
const SUSPICION_MS = 120_000

interface SuspectParts {
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Remembers over the end of a process what was being tried. */
export interface SuspectStore {
  /** How often it was begun before without an end. */
  begin(id: string, now: number): Promise<number>
  end(id: string): Promise<void>
}

const MOST_DEATHS = 2

/** On the queue of suspects: each try is noted before and after, so that only what really ends the process is blamed. */
export function trySuspects({ store, now, log }: SuspectParts & { readonly store: SuspectStore }): Suspects {
  /** Tries that ended while the store was away: no reason to convict anybody. */
  const unheard = new Set<string>()
  const idOf = ({ message }: Delivery): string =>
    `${requestHash(originalMessage(message))} ${message.messageId ?? ''}`.slice(0, 250)
  return {
    async look(delivery) {
      if (unheard.delete(idOf(delivery))) await store.end(idOf(delivery))
      const deaths = await store.begin(idOf(delivery), now())
      if (deaths < MOST_DEATHS) return 'fine'
      await store.end(idOf(delivery))
      log('command.convicted', { queue: delivery.queue, messageId: delivery.message.messageId, deaths })
      return { kind: 'unknown', status: 500, attempts: 0, failure: FATAL }
    },
    survived(delivery) {
      const id = idOf(delivery)
      store.end(id).catch(() => unheard.add(id))
    },
  }
}

const FATAL = {
  code: 'COMMAND_FATAL',
  description: 'The bridge ended again and again while it worked on this command',
  retryable: false,
  hint: 'Report it with the dead letter: this is a fault of ours. Look in Bitrix24 before you send it again.',
}
