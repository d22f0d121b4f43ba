import type { Options, Message as RawMessage } from 'amqplib'
import type { HeaderValue, Message } from '../broker.ts'

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/** The message in a delivery. Absent properties stay absent; AMQP timestamps in headers stay `{ '!': 'timestamp', value }`. */
export function decodeMessage(raw: RawMessage): Message {
  const from = raw.properties
  const message: Mutable<Message> = {
    body: raw.content,
    headers: (from.headers as Record<string, HeaderValue> | undefined) ?? {},
    persistent: from.deliveryMode === 2,
  }
  if (from.messageId !== undefined) message.messageId = from.messageId
  if (from.correlationId !== undefined) message.correlationId = from.correlationId
  if (from.replyTo !== undefined) message.replyTo = from.replyTo
  if (from.contentType !== undefined) message.contentType = from.contentType
  if (from.contentEncoding !== undefined) message.contentEncoding = from.contentEncoding
  if (from.timestamp !== undefined) message.timestamp = from.timestamp
  if (from.expiration !== undefined) message.expiration = from.expiration
  if (from.priority !== undefined) message.priority = from.priority
  if (from.appId !== undefined) message.appId = from.appId
  if (from.type !== undefined) message.type = from.type
  return message
}

/** The properties to publish with: always `mandatory`, so that a message nobody would get comes back to us. */
export function encodeProperties(message: Message, messageId: string): Options.Publish {
  return {
    mandatory: true,
    persistent: message.persistent !== false,
    messageId,
    headers: message.headers,
    correlationId: message.correlationId,
    replyTo: message.replyTo,
    contentType: message.contentType,
    contentEncoding: message.contentEncoding,
    timestamp: message.timestamp,
    expiration: message.expiration,
    priority: message.priority,
    appId: message.appId,
    type: message.type,
  } as Options.Publish
}

/**
 * How often the broker has handed the message out before: quorum queues count, other queues only know whether.
 *
 * https://www.rabbitmq.com/docs/quorum-queues#poison-message-handling
 */
export function deliveryCountOf(
  headers: Readonly<Record<string, HeaderValue>>,
  redelivered: boolean,
): number {
  const count = headers['x-delivery-count']
  return typeof count === 'number' ? count : redelivered ? 1 : 0
}
