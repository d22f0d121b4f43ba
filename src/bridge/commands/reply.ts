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

/** How long a reply that the broker does not take is tried again before the command is handed back. */
const HOLD_MS = 300_000

/**
 * Resolves when the broker has confirmed the reply. A reply that no queue receives is kept in the dead letter queue
 * with its address. Rejects when the broker has taken neither for five minutes, or is being closed.
 */
export async function publishReply(road: ReplyRoad, delivery: Delivery, reply: KeptReply): Promise<void> {
  const taken = await insist(road, reply.address, reply.message, delivery)
  if (taken) return
  const { exchange, routingKey } = reply.address
  const headers = {
    ...reply.message.headers,
    'x-b24-reason': 'REPLY_UNROUTABLE',
    'x-b24-reply-exchange': exchange,
    'x-b24-reply-routing-key': routingKey,
  }
  await toDead(road, { ...reply.message, headers }, delivery)
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

async function toDead(road: ReplyRoad, message: Message, delivery: Delivery): Promise<void> {
  const taken = await insist(road, { exchange: '', routingKey: road.deadQueue }, message, delivery)
  const event = taken ? 'dead.kept' : 'dead.lost'
  road.log(event, {
    queue: delivery.queue,
    deadQueue: road.deadQueue,
    messageId: message.messageId,
    reason: message.headers['x-b24-reason'],
  })
}

/** Publishes until the broker has it. False when there is no queue for it. */
async function insist(
  road: ReplyRoad,
  address: Address,
  message: Message,
  delivery: Delivery,
): Promise<boolean> {
  const until = road.now() + HOLD_MS
  for (let pause = 200; ; pause = Math.min(10_000, pause * 2)) {
    try {
      await road.broker.publish(address, message)
      return true
    } catch (error) {
      const trouble = replyTrouble(error)
      const reason = error instanceof BridgeError ? error.code : 'INTERNAL_ERROR'
      road.log('reply.refused', { queue: delivery.queue, messageId: message.messageId, reason, trouble })
      if (trouble === 'keep') return false
      if (trouble === 'give-back' || road.now() > until) throw error
      await sleep(pause)
    }
  }
}
