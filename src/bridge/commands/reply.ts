import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Broker, Delivery, Message } from '../../brokers/broker.ts'
import { BridgeError } from '../../model/errors.ts'
import type { Failure } from '../../model/outcome.ts'
import { type DeadDelivery, type DeathNote, markDead } from '../dead/headers.ts'
import { FIRST_SEEN_HEADER, originalMessage } from './aside.ts'
import { type KeptReply, requestHash } from './ledger.ts'
import { replyTrouble } from './settle.ts'

/** What publishing a reply needs. */
export interface ReplyRoad {
  readonly broker: Broker
  /** The queue that commands came to first, where they are taken from another one. */
  readonly originQueue?: string
  /** Queue for copies of what cannot end well. */
  readonly deadQueue: string
  /** Seals the secret headers of a letter; without it they are masked, and lost. */
  readonly seal?: (id: string, text: string) => string
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** How long a reply that the broker does not take is offered to its queue before it goes among the dead letters. */
const HOLD_MS = 300_000

/**
 * Resolves when the broker has confirmed the reply. What was carried out is never handed back to be carried out again,
 * so this goes on until some queue has it: a reply that no queue receives, or that its queue has refused for five
 * minutes, is kept in the dead letter queue with its address. One that is too large is replaced by what `smaller` makes.
 *
 * Rejects only when the broker is being closed.
 */
export async function publishReply(
  road: ReplyRoad,
  delivery: Delivery,
  reply: KeptReply,
  smaller: () => KeptReply,
): Promise<void> {
  let { address, message } = reply
  for (let round = 0; ; round++) {
    const end = await offer(road, address, message, delivery)
    if (end === 'taken') return
    if (end === 'shrink' && round === 0) {
      ;({ address, message } = smaller())
      continue
    }
    const note = { ...(end === 'keep' ? UNROUTABLE : REFUSED), kind: 'reply', replyAddress: address } as const
    if (await toDead(road, message, note, delivery)) return
    // Not even our own queue takes it; an operator has to mend something. Meanwhile the command stays in hand.
    if (end !== 'refused') await sleep(10_000)
  }
}

/** What is known of a command that is set aside. */
export interface DeadCommand {
  readonly failure: Failure | undefined
  readonly contract: string
  readonly portal?: string | undefined
  readonly method?: string | undefined
  readonly attempts: number
  /** The portal may have carried it out. */
  readonly unsure: boolean
}

/**
 * Keeps the message as its sender wrote it, from the queue that it came to first, with the reason beside it, for people to look at and to send again. A `token` header is
 * sealed. True when the dead letter queue has it.
 */
export function keepDead(road: ReplyRoad, delivery: Delivery, dead: DeadCommand): Promise<boolean> {
  const { failure, ...known } = dead
  const { code: reason = 'UNKNOWN', description, hint } = failure ?? {}
  const message = originalMessage(delivery.message)
  return toDead(road, message, { ...known, kind: 'command', reason, description, hint }, delivery)
}

const UNROUTABLE = {
  reason: 'REPLY_UNROUTABLE',
  description: 'No queue takes the reply at the address where it was to go.',
  hint: 'Create the queue or mend reply_to, then send the reply again.',
}
const REFUSED = {
  reason: 'REPLY_REFUSED',
  description: 'The queue of the reply refused it for five minutes.',
  hint: 'Make room in the queue, then send the reply again.',
}

/** True when the dead letter queue has it; false when there is no such queue, or it has refused it for five minutes. */
async function toDead(
  road: ReplyRoad,
  message: Message,
  note: DeathNote,
  delivery: Delivery,
): Promise<boolean> {
  const { now, newId, seal } = road
  const letter = markDead(message, note, firstDelivery(road, delivery), {
    now: now(),
    newId,
    seal,
    hash: requestHash,
  })
  const taken =
    (await offer(road, { exchange: '', routingKey: road.deadQueue }, letter, delivery)) === 'taken'
  road.log(taken ? 'dead.kept' : 'dead.refused', {
    queue: delivery.queue,
    deadQueue: road.deadQueue,
    messageId: message.messageId,
    reason: note.reason,
  })
  return taken
}

/** What was moved to a queue of ours on its way counts as what came: that queue may be gone when it is sent again. */
function firstDelivery(
  { originQueue }: ReplyRoad,
  { queue, message, deliveryCount }: Delivery,
): DeadDelivery {
  const isMoved = message.headers[FIRST_SEEN_HEADER] !== undefined
  const first = isMoved ? (originQueue ?? queue) : queue
  return { queue: first, message: originalMessage(message), deliveryCount }
}

/** Publishes again and again, for five minutes at most; says how it ended. */
async function offer(
  road: ReplyRoad,
  address: Address,
  message: Message,
  delivery: Delivery,
): Promise<'taken' | 'keep' | 'shrink' | 'refused'> {
  const until = road.now() + HOLD_MS
  for (let pause = 200; ; pause = Math.min(10_000, pause * 2)) {
    try {
      await road.broker.publish(address, message)
      return 'taken'
    } catch (error) {
      const trouble = replyTrouble(error)
      const reason = error instanceof BridgeError ? error.code : 'INTERNAL_ERROR'
      road.log('reply.refused', { queue: delivery.queue, messageId: message.messageId, reason, trouble })
      if (trouble === 'give-back') throw error
      if (trouble !== 'again') return trouble
      if (road.now() > until) return 'refused'
      await sleep(pause)
    }
  }
}
