import type { Message } from '../../brokers/broker.ts'
import type { PortalEvent } from '../../model/event.ts'

/** An event as it is published: the routing key for the topic exchange, and the message. */
export interface EventMessage {
  readonly routingKey: string
  readonly message: Message
}

/**
 * `{kind}.{member_id}.{event}` in lower case. Whatever could be read as another word of the key (`.`, `*`, `#`) or is
 * not fit for one becomes `_`, so that the key always has three words; an empty word is `_` too.
 *
 * https://www.rabbitmq.com/tutorials/amqp-concepts#exchange-topic
 */
export function eventRoutingKey({
  kind,
  memberId,
  event,
}: Pick<PortalEvent, 'kind' | 'memberId' | 'event'>): string {
  return [kind, memberId, event].map(wordOf).join('.')
}

function wordOf(text: string): string {
  // A routing key has 255 bytes; three words of 80 fit.
  return (
    text
      .toLowerCase()
      .replaceAll(/[^a-z0-9_-]/g, '_')
      .slice(0, 80) || '_'
  )
}

/** The event as a message. The body's members are described in `docs/events.md`. */
export function encodeEvent(event: PortalEvent): EventMessage {
  const { memberId, domain, happenedAt, receivedAt, record, recordError, raw } = event
  const body = {
    kind: event.kind,
    portal: { member_id: memberId, domain },
    application: event.application ?? null,
    event: event.event,
    data: event.data,
    actor: event.userId === undefined ? null : { user_id: event.userId },
    ts: happenedAt === undefined ? null : new Date(happenedAt).toISOString(),
    received: new Date(receivedAt).toISOString(),
    key: event.key,
    synthetic: event.synthetic === true,
    ...(record === undefined ? {} : { record }),
    ...(recordError === undefined ? {} : { record_error: recordError }),
    ...(raw === undefined ? {} : { raw }),
  }
  return {
    routingKey: eventRoutingKey(event),
    message: {
      body: Buffer.from(JSON.stringify(body)),
      contentType: 'application/json',
      messageId: event.key,
      type: event.event,
      appId: 'bitrix24-bridge',
      timestamp: Math.floor(receivedAt / 1000),
      headers: {
        'x-b24-kind': event.kind,
        'x-b24-portal': memberId,
        'x-b24-event': event.event,
        ...(event.synthetic === true ? { 'x-b24-synthetic': true } : {}),
      },
    },
  }
}
