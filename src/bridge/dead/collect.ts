import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Broker, Consumer, Delivery } from '../../brokers/broker.ts'
import { BridgeError, BrokerError } from '../../model/errors.ts'
import { maskSecrets } from '../../model/webhook.ts'
import { withoutBrokerHeaders } from '../commands/aside.ts'
import { DEAD_HEADERS } from './headers.ts'
import { type KnownQueues, lastDeath, readLetter } from './letter.ts'
import type { DeadLetterStore } from './store.ts'

export interface CollectSettings {
  readonly broker: Broker
  /** The dead letter queue. */
  readonly queue: string
  readonly store: Pick<DeadLetterStore, 'insert'>
  /** Commands that the broker set aside are told by their queue. */
  readonly commands?: DeadCommands
  /** Opens what was sealed for the letter of this id; `undefined` when the key is not there. */
  readonly open: (id: string, sealed: string) => string | undefined
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What the collector is told of commands. */
export interface DeadCommands extends KnownQueues {
  /** See `CommandServer.answerExpired`. */
  answerExpired(delivery: Delivery): boolean
}

/** The dead letter queue being emptied into the store. */
export interface Collector {
  /** Takes no more, hands back what is not stored yet. Twice is harmless. */
  stop(): Promise<void>
}

/** Bodies may be large, and a letter is in no hurry. */
const PREFETCH = 4
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 30_000

/**
 * Moves letters from the dead letter queue into the store: insert, then acknowledge, so that a process that is killed in
 * between leaves one letter and loses none. Several processes may do it side by side. While the store is away letters
 * stay in the queue; while there is no queue, it is looked for.
 *
 * A command whose time was over while it stood in its queue becomes no letter: its sender waits for a reply, and gets one.
 *
 * A letter that is there already is the same death written twice, and is acknowledged. Was the first one sent again since
 * then, or is this a message of somebody else that the broker has never handed out before, it is another letter.
 */
export function collectDeadLetters(settings: CollectSettings): Collector {
  const stop = new AbortController()
  // Every letter in hand listens to it; that is no leak.
  setMaxListeners(0, stop.signal)
  const running = new Set<Promise<void>>()
  let consumer: Consumer | undefined
  let stopped: Promise<void> | undefined

  const starting = subscribe(settings, stop.signal, (delivery) => {
    const storing = keep(settings, delivery, stop.signal).finally(() => running.delete(storing))
    running.add(storing)
  }).then((started) => {
    consumer = started
  })

  async function end(): Promise<void> {
    stop.abort()
    // A broker that is away keeps a subscription waiting until it is closed itself.
    if (consumer === undefined) void starting.then(() => consumer?.stop()).catch(() => undefined)
    await consumer?.stop()
    await Promise.allSettled(running)
  }
  return {
    stop() {
      stopped ??= end()
      return stopped
    },
  }
}

/** A queue that is not there is looked for until there is one. */
async function subscribe(
  { broker, queue, log }: CollectSettings,
  signal: AbortSignal,
  handler: (delivery: Delivery) => void,
): Promise<Consumer | undefined> {
  for (let tries = 0; ; tries++) {
    try {
      return await broker.consume(queue, { prefetch: PREFETCH }, handler)
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'BROKER_CLOSED') return undefined
      if (tries === 0) log('dead.unread', { queue, reason: reasonOf(error) })
      await pause(LONGEST_PAUSE_MS, signal)
      if (signal.aborted) return undefined
    }
  }
}

/** Holds a delivery until it is stored; never rejects. */
async function keep(settings: CollectSettings, delivery: Delivery, signal: AbortSignal): Promise<void> {
  for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(LONGEST_PAUSE_MS, wait * 2)) {
    try {
      if (signal.aborted) break
      const late = expiredCommand(delivery, settings.commands)
      if (late === undefined) {
        await storeLetter(settings, delivery)
        delivery.ack()
        return
      }
      if (settings.commands?.answerExpired(late) === true) return
      // We are about to end, and somebody else has it after that.
      await pause(wait, signal)
      if (delivery.lost) return
    } catch (error) {
      settings.log('dead.unstored', {
        queue: delivery.queue,
        messageId: delivery.message.messageId,
        reason: reasonOf(error),
      })
      await pause(wait, signal)
      // Whoever gets it by the new connection stores it.
      if (delivery.lost) return
    }
  }
  delivery.requeue()
}

/** The command as it stood in its queue when its time was over; `undefined` for anything else. Settling it settles the letter. */
function expiredCommand(delivery: Delivery, commands: DeadCommands | undefined): Delivery | undefined {
  const { headers } = delivery.message
  const death = DEAD_HEADERS.reason in headers ? undefined : lastDeath(headers)
  if (commands === undefined || death?.reason !== 'EXPIRED') return undefined
  if (death.queue === undefined || !commands.isCommandQueue(death.queue)) return undefined
  const { expiration } = death
  return {
    message: {
      ...delivery.message,
      headers: withoutBrokerHeaders(headers),
      ...(expiration === undefined ? {} : { expiration }),
    },
    queue: commands.queue,
    exchange: '',
    routingKey: commands.queue,
    redelivered: delivery.redelivered,
    deliveryCount: delivery.deliveryCount,
    get lost() {
      return delivery.lost
    },
    ack: () => delivery.ack(),
    requeue: () => delivery.requeue(),
  }
}

async function storeLetter(settings: CollectSettings, delivery: Delivery): Promise<void> {
  const { store, now, newId, open, commands } = settings
  const { letter, content } = readLetter(delivery, { now: now(), open, commands })
  const known = await store.insert(letter, content)
  if (known === 'new') return
  const another = known === 'retried' || (letter.kind === 'foreign' && !delivery.redelivered)
  if (another) await store.insert({ ...letter, id: newId() }, content)
}

function reasonOf(error: unknown): string {
  return error instanceof BridgeError
    ? `${error.code}: ${error.message}`
    : maskSecrets(error instanceof Error ? error.message : String(error))
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
