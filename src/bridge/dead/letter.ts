import { createHash } from 'node:crypto'
import type { Delivery, HeaderValue, Message } from '../../brokers/broker.ts'
import type { DeadLetter, LetterContent } from '../../model/dead-letter.ts'
import { isJsonObject } from '../../model/json.ts'
import { bytesFromJson, bytesToJson } from '../../util/json-bytes.ts'
import { originalMessage as asFirstSent } from '../commands/aside.ts'
import { DEAD_HEADERS, originalHeaders, splitSecrets } from './headers.ts'

/** What a delivery of the dead letter queue turned out to be. */
export interface ReadLetter {
  readonly letter: DeadLetter
  readonly content: LetterContent
}

/** Bodies up to here are searched for method and portal of a letter that does not say them. */
const LONGEST_SEARCHED = 1024 * 1024

/** The queues of commands. */
export interface KnownQueues {
  /** Where commands come first. */
  readonly queue: string
  /** They stand on this one: the first, or one beside it. */
  isCommandQueue(queue: string): boolean
}

/** What there is to say of a message that a broker has set aside. https://www.rabbitmq.com/docs/dlx */
const BROKER_REASONS: Readonly<Record<string, { readonly description: string; readonly hint: string }>> = {
  DELIVERY_LIMIT: {
    description:
      'The broker has handed it out more often than it may: whoever had it ended, lost the connection or gave it back.',
    hint: 'See in the log why. A command may have been carried out: look in Bitrix24, then send it under a new id or drop it.',
  },
  EXPIRED: {
    description:
      'It stood in its queue for longer than its expiration, or the lifetime of the queue, allows.',
    hint: 'Send it again if it is still of use, or drop it.',
  },
  MAXLEN: {
    description: 'Its queue was full, and dropped it to make room for others.',
    hint: 'Have the queue refuse what is too much (overflow: reject-publish), and send it again.',
  },
}

/**
 * Reads a message of the dead letter queue, whoever put it there; never throws. One without a note of ours is `foreign`,
 * its reason and queue are those of the broker's `x-death`, and its id comes from its content. A command that was
 * handed out too often may have been carried out; one that died on a queue beside the command queue belongs to that.
 *
 * `open` opens what `markDead` has sealed, or gives `undefined`.
 *
 * https://www.rabbitmq.com/docs/dlx#effects
 */
export function readLetter(
  delivery: Delivery,
  options: {
    readonly now: number
    readonly open: (id: string, sealed: string) => string | undefined
    readonly commands?: KnownQueues | undefined
  },
): ReadLetter {
  const message = asFirstSent(delivery.message)
  const note = message.headers
  const say = (name: keyof typeof DEAD_HEADERS): string | undefined => textOf(note[DEAD_HEADERS[name]])
  const number = (name: keyof typeof DEAD_HEADERS): number | undefined => numberOf(note[DEAD_HEADERS[name]])
  const id = say('id') ?? contentId(message)
  const isReply = say('replyKey') !== undefined || note[DEAD_HEADERS.replyExchange] !== undefined
  const ours = say('reason') !== undefined
  const death = ours ? undefined : lastDeath(note)
  const words = BROKER_REASONS[death?.reason ?? '']
  const diedOn = say('queue') ?? death?.queue
  const queue = isOfCommands(diedOn, options.commands) ? options.commands?.queue : diedOn
  const found = searched(message)
  const original = splitSecrets(originalHeaders(note))
  const sealed = say('sealed')
  const opened = sealed === undefined ? undefined : options.open(id, sealed)
  const { body, headers: _, expiration, ...properties } = message
  const lifetime = say('expiration') ?? expiration ?? death?.expiration
  const target = isReply
    ? { exchange: say('replyExchange') ?? '', routingKey: say('replyKey') ?? '' }
    : queue === undefined
      ? undefined
      : { exchange: '', routingKey: queue }
  const letter: DeadLetter = {
    id: plain(id, 64) ?? contentId(message),
    kind: isReply ? 'reply' : ours ? 'command' : 'foreign',
    state: 'open',
    reason: plain(say('reason') ?? death?.reason, 64) ?? 'FOREIGN',
    unsure: note[DEAD_HEADERS.unsure] === true || isUnsure(death, options.commands),
    attempts: number('attempts') ?? 0,
    deliveries: number('deliveries') ?? death?.count ?? 1,
    bytes: body.length,
    diedAt: number('at') ?? death?.at ?? options.now,
    storedAt: options.now,
    retries: 0,
    ...given({
      description: plain(say('description') ?? words?.description, 1000),
      hint: plain(say('hint') ?? words?.hint, 1000),
      queue: plain(queue, 255),
      contract: plain(say('contract'), 32),
      portal: plain(say('portal') ?? found.portal, 255)?.toLowerCase(),
      method: plain(say('method') ?? found.method, 255)?.toLowerCase(),
      messageId: plain(message.messageId, 255),
      correlationId: plain(message.correlationId, 255),
      retryOf: plain(say('retry'), 64),
      sentAt: message.timestamp === undefined ? undefined : message.timestamp * 1000,
    }),
    ...(target !== undefined && isAddress(target) ? { target } : {}),
  }
  const kept = { ...properties, ...(lifetime === undefined ? {} : { expiration: lifetime }) }
  const content: LetterContent = {
    properties: JSON.stringify({ ...kept, headers: bytesToJson(original.headers) }),
    secretHeaders: { ...original.secrets, ...(opened === undefined ? {} : readSecrets(opened)) },
    body,
  }
  return { letter, content }
}

/** The message of a letter as its producer sent it, secret headers and all. */
export function originalMessage({ properties, secretHeaders, body }: LetterContent): Message {
  const { headers, ...rest } = JSON.parse(properties) as Omit<Message, 'body'>
  const plainHeaders = bytesFromJson(headers) as Message['headers']
  return { ...rest, body, headers: { ...plainHeaders, ...secretHeaders } }
}

/** The same content gives the same id; what brokers count on the way does not matter. */
function contentId({ body, headers, ...properties }: Message): string {
  const hash = createHash('sha256').update(body)
  const kept = Object.entries(headers).filter(([name]) => !/^x-(?:delivery|acquired)-count$/i.test(name))
  hash.update(JSON.stringify([properties, bytesToJson(kept)]))
  return hash.digest('hex').slice(0, 32)
}

/** How a broker set a message aside. */
export interface Death {
  /** In capitals: `EXPIRED`, `DELIVERY_LIMIT`. */
  readonly reason?: string
  readonly queue?: string
  readonly count?: number
  readonly at?: number
  /** The property `expiration` that it had there. */
  readonly expiration?: string
}

function isUnsure({ reason, queue }: Death = {}, commands?: KnownQueues): boolean {
  return reason === 'DELIVERY_LIMIT' && isOfCommands(queue, commands)
}

function isOfCommands(queue: string | undefined, commands: KnownQueues | undefined): boolean {
  return queue !== undefined && commands?.isCommandQueue(queue) === true
}

/** The newest entry of `x-death` stands first: https://www.rabbitmq.com/docs/dlx#effects */
export function lastDeath(headers: Message['headers']): Death | undefined {
  const list = headers['x-death']
  const entry = Array.isArray(list) ? (list[0] as HeaderValue | undefined) : undefined
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry) || Buffer.isBuffer(entry)) return
  const { reason, queue, count, time, ...rest } = entry as Readonly<Record<string, HeaderValue>>
  const { value } = (time ?? {}) as { value?: HeaderValue }
  const seconds = numberOf(value)
  return given({
    reason: textOf(reason)?.toUpperCase(),
    queue: textOf(queue),
    count: numberOf(count),
    expiration: textOf(rest['original-expiration']),
    at: seconds === undefined ? undefined : seconds * 1000,
  })
}

/** Method and portal as the message itself may say them: in headers, or in a JSON body. */
function searched({ headers, body }: Message): { method?: string; portal?: string } {
  const method = textOf(headers.method)
  const portal = textOf(headers['x-b24-portal'])
  const inside = method === undefined || portal === undefined ? insideBody(body) : {}
  return given({ method: method ?? textOf(inside.method), portal: portal ?? textOf(inside.portal) })
}

function insideBody(body: Buffer): Readonly<Record<string, unknown>> {
  if (body.length > LONGEST_SEARCHED || body[0] !== 0x7b) return {}
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return isJsonObject(value) ? value : {}
  } catch {
    return {}
  }
}

/** What a column can hold; no broker has other names. */
function isAddress({ exchange, routingKey }: NonNullable<DeadLetter['target']>): boolean {
  return Math.max(exchange.length, routingKey.length) <= 255 && !/\p{Cc}/u.test(exchange + routingKey)
}

function readSecrets(text: string): Record<string, string> {
  try {
    return JSON.parse(text) as Record<string, string>
  } catch {
    return {}
  }
}

/** Text that every database keeps and every terminal shows: no control characters, cut where a column ends. */
function plain(text: string | undefined, most: number): string | undefined {
  if (text === undefined) return undefined
  const shown = Buffer.from(text.replace(/\p{Cc}/gu, '?').slice(0, most)).toString('utf8')
  // One of the databases takes no notice of spaces at the end.
  return shown.trimEnd() === '' ? undefined : shown.trimEnd()
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

type Given<T> = { [K in keyof T]?: NonNullable<T[K]> }

function given<T extends Record<string, string | number | undefined>>(parts: T): Given<T> {
  return Object.fromEntries(Object.entries(parts).filter(([, value]) => value !== undefined)) as Given<T>
}
