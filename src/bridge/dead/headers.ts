import { createHash } from 'node:crypto'
import type { Delivery, HeaderValue, Message } from '../../brokers/broker.ts'
import { maskSecrets } from '../../model/webhook.ts'

/**
 * The headers by which a message in the dead letter queue says why it is there. Everything that begins with
 * `x-b24-dead-` is ours; the others are older, and other programs may read them.
 */
export const DEAD_HEADERS = {
  reason: 'x-b24-reason',
  queue: 'x-b24-queue',
  replyExchange: 'x-b24-reply-exchange',
  replyKey: 'x-b24-reply-routing-key',
  id: 'x-b24-dead-id',
  description: 'x-b24-dead-description',
  hint: 'x-b24-dead-hint',
  contract: 'x-b24-dead-contract',
  portal: 'x-b24-dead-portal',
  method: 'x-b24-dead-method',
  attempts: 'x-b24-dead-attempts',
  deliveries: 'x-b24-dead-deliveries',
  /** Milliseconds since 1970. */
  at: 'x-b24-dead-at',
  /** The portal may have carried it out. */
  unsure: 'x-b24-dead-unsure',
  /** The property `expiration` of the original: what is set aside must not expire. */
  expiration: 'x-b24-dead-expiration',
  /** Headers that are secret, sealed. */
  sealed: 'x-b24-dead-sealed',
  /** On a message that was sent again: the letter that it comes from. */
  retry: 'x-b24-dead-retry',
} as const

/** Headers that hold a credential in any contract. */
const SECRET_HEADERS = ['token']
const MASK = '•••'
const LONGEST = 1000

/** Why a message is set aside. */
export interface DeathNote {
  readonly kind: 'command' | 'reply'
  readonly reason: string
  readonly description?: string | undefined
  readonly hint?: string | undefined
  readonly contract?: string | undefined
  readonly portal?: string | undefined
  readonly method?: string | undefined
  readonly attempts?: number | undefined
  readonly unsure?: boolean
  /** Where a reply was to go. */
  readonly replyAddress?: { readonly exchange: string; readonly routingKey: string }
}

/** The delivery with which it died. */
export type DeadDelivery = Pick<Delivery, 'queue' | 'message' | 'deliveryCount'>

export interface DeathMoment {
  readonly now: number
  readonly newId: () => string
  /** Tells a message from others by what it asks. */
  readonly hash: (message: Message) => string
  /** Seals a text for the letter of this id; without it a secret header is only masked, and lost. */
  readonly seal?: ((id: string, text: string) => string) | undefined
}

/**
 * The message as it is put among the dead letters: itself, with the note in its headers, its secret headers sealed, and
 * its `expiration` laid aside. `message` is the delivery's own, or the reply to it. The same death of the same message
 * gives the same id when it has a message id, so that a letter that is written twice is one.
 */
export function markDead(
  message: Message,
  note: DeathNote,
  delivery: DeadDelivery,
  moment: DeathMoment,
): Message {
  const id = letterId(note.kind, delivery, moment)
  const { expiration, ...rest } = message
  const { headers, secrets } = splitSecrets(message.headers)
  const token = secrets.token ?? delivery.message.headers.token
  const text = (words: string | undefined): string | undefined => words && safeText(words, token)
  const marks: Record<string, HeaderValue | undefined> = {
    [DEAD_HEADERS.id]: id,
    [DEAD_HEADERS.reason]: note.reason,
    [DEAD_HEADERS.queue]: delivery.queue,
    [DEAD_HEADERS.replyExchange]: note.replyAddress?.exchange,
    [DEAD_HEADERS.replyKey]: note.replyAddress?.routingKey,
    [DEAD_HEADERS.description]: text(note.description),
    [DEAD_HEADERS.hint]: text(note.hint),
    [DEAD_HEADERS.contract]: note.contract,
    [DEAD_HEADERS.portal]: note.portal,
    [DEAD_HEADERS.method]: note.method,
    [DEAD_HEADERS.attempts]: note.attempts,
    [DEAD_HEADERS.deliveries]: (delivery.deliveryCount ?? 0) + 1,
    [DEAD_HEADERS.at]: moment.now,
    [DEAD_HEADERS.unsure]: note.unsure === true ? true : undefined,
    [DEAD_HEADERS.expiration]: expiration,
    [DEAD_HEADERS.sealed]:
      Object.keys(secrets).length > 0 ? moment.seal?.(id, JSON.stringify(secrets)) : undefined,
  }
  const given = Object.entries(marks).filter((mark): mark is [string, HeaderValue] => mark[1] !== undefined)
  return { ...rest, headers: { ...headers, ...Object.fromEntries(given) } }
}

/** The headers without what was added by us and by the broker on the way to the dead letter queue. */
export function originalHeaders(headers: Message['headers']): Record<string, HeaderValue> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !isAdded(name)))
}

/** Takes the secret headers out and leaves a mask in their place. Such a header that is no text is kept as its JSON. */
export function splitSecrets(headers: Message['headers']): {
  readonly headers: Message['headers']
  readonly secrets: Record<string, string>
} {
  const secrets: Record<string, string> = {}
  const masked: Record<string, string> = {}
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (!SECRET_HEADERS.includes(name.toLowerCase()) || value === undefined || value === MASK) continue
    secrets[name] = typeof value === 'string' ? value : JSON.stringify(value)
    masked[name] = MASK
  }
  return { headers: { ...headers, ...masked }, secrets }
}

const OLDER: readonly string[] = [
  DEAD_HEADERS.reason,
  DEAD_HEADERS.queue,
  DEAD_HEADERS.replyExchange,
  DEAD_HEADERS.replyKey,
]

function isAdded(name: string): boolean {
  const lower = name.toLowerCase()
  return (
    lower.startsWith('x-b24-dead-') ||
    OLDER.includes(lower) ||
    /^x-(?:death$|(?:first|last)-death-|delivery-count$|acquired-count$)/.test(lower)
  )
}

function letterId(kind: string, { queue, message }: DeadDelivery, { newId, hash }: DeathMoment): string {
  const { messageId } = message
  if (messageId === undefined || messageId === '') return newId()
  const retry = message.headers[DEAD_HEADERS.retry]
  const parts = [kind, queue, messageId, hash(message), typeof retry === 'string' ? retry : '']
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 32)
}

function safeText(words: string, token: HeaderValue | undefined): string {
  const hidden = typeof token === 'string' && token.length >= 4 ? words.replaceAll(token, MASK) : words
  return maskSecrets(hidden).slice(0, LONGEST)
}
