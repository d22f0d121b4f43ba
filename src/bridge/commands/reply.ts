import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, Broker, Delivery, Message } from '../../brokers/broker.ts'
import { BridgeError } from '../../model/errors.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { KeptReply } from './ledger.ts'
import { replyTrouble } from './settle.ts'

/** What publishing a reply needs. */
export interface ReplyRoad {
  readonly broker: Broker
  /** Queue for copies of what cannot end well. */
  readonly deadQueue: string
  readonly now: () => number
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
    const headers = {
      ...message.headers,
      'x-b24-reason': end === 'keep' ? 'REPLY_UNROUTABLE' : 'REPLY_REFUSED',
      'x-b24-reply-exchange': address.exchange,
      'x-b24-reply-routing-key': address.routingKey,
    }
    if (await toDead(road, { ...message, headers }, delivery)) return
    // Not even our own queue takes it; an operator has to mend something. Meanwhile the command stays in hand.
    if (end !== 'refused') await sleep(10_000)
  }
}

/** Keeps the message as it came, with the reason beside it, for people to look at. A `token` header is masked. */
export async function keepDead(road: ReplyRoad, delivery: Delivery, outcome: Outcome): Promise<void> {
  const { message } = delivery
  const secret = 'token' in message.headers ? { token: '•••' } : {}
  const headers = {
    ...message.headers,
    ...secret,
    'x-b24-reason': outcome.failure?.code ?? 'UNKNOWN',
    'x-b24-queue': delivery.queue,
  }
  await toDead(road, { ...message, headers }, delivery)
}

/** True when the dead letter queue has it; false when there is no such queue, or it has refused it for five minutes. */
async function toDead(road: ReplyRoad, message: Message, delivery: Delivery): Promise<boolean> {
  const taken =
    (await offer(road, { exchange: '', routingKey: road.deadQueue }, message, delivery)) === 'taken'
  road.log(taken ? 'dead.kept' : 'dead.refused', {
    queue: delivery.queue,
    deadQueue: road.deadQueue,
    messageId: message.messageId,
    reason: message.headers['x-b24-reason'],
  })
  return taken
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
