import { z } from 'zod'
import { eventSchema } from '../events/event-schema.ts'
import { EVENT_EXCHANGE } from '../events/outlet.ts'
import { bridgeCommandSchema, bridgeReplySchema } from './bitrix24-bridge-schema.ts'
import { nativeCommandSchema, nativeReplySchema } from './native-schema.ts'
import { bitrix24BridgeTopology, nativeTopology } from './topology.ts'

/**
 * The published description of all contracts, by file name under `docs/reference/`: JSON Schemas and one AsyncAPI 3
 * document. Written by `scripts/docs-contracts.mjs`; a test compares the files with it.
 */
export function contractReference(): Readonly<Record<string, string>> {
  return {
    'native-command.schema.json': pretty(z.toJSONSchema(nativeCommandSchema)),
    'native-reply.schema.json': pretty(z.toJSONSchema(nativeReplySchema)),
    'bitrix24-bridge-command.schema.json': pretty(z.toJSONSchema(bridgeCommandSchema)),
    'bitrix24-bridge-reply.schema.json': pretty(z.toJSONSchema(bridgeReplySchema)),
    'event.schema.json': pretty(z.toJSONSchema(eventSchema)),
    'asyncapi.json': pretty(asyncApi()),
  }
}

function pretty(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

/** AsyncAPI takes draft 7. https://www.asyncapi.com/docs/reference/specification/v3.0.0#schemaObject */
function draft7(schema: z.ZodType): object {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { target: 'draft-7' })
  return rest
}

function asyncApi(): object {
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'bitrix24-bridge',
      version: '1.0.0',
      description:
        'Commands for Bitrix24 on message queues, and their replies, in three contracts; events of portals. Queue names are the defaults; all are settings. See docs/commands.md and docs/events.md.',
      license: { name: 'MIT' },
    },
    defaultContentType: 'application/json',
    channels: channels(),
    operations: {
      ...operations('native', 'nativeCommands', 'nativeReplies'),
      ...operations('bitrix24Bridge', 'bridgeCommands', 'bridgeReplies'),
      ...operations('rabbitmqToBitrix24', 'rabbitmqCommands', 'rabbitmqReplies'),
      portalEvent: {
        action: 'send',
        channel: { $ref: '#/channels/events' },
        messages: [{ $ref: '#/channels/events/messages/message' }],
      },
    },
    components: { messages: messages(), schemas: schemas() },
  }
}

function channels(): object {
  const native = nativeTopology().queues
  const { exchanges, queues, bindings } = bitrix24BridgeTopology()
  return {
    nativeCommands: queue(native[0]?.name, 'nativeCommand', 'Contract native: commands.'),
    nativeReplies: queue(
      native[1]?.name,
      'nativeReply',
      'Contract native: replies to commands without the property reply_to; the others go to the queue that it names.',
    ),
    bridgeCommands: queue(
      queues[0]?.name,
      'bridgeCommand',
      `Contract bitrix24-bridge: commands; bound to the exchange ${exchanges[0]?.name} by ${bindings[0]?.routingKey}.`,
    ),
    bridgeReplies: {
      address: bindings[1]?.routingKey,
      description: `Contract bitrix24-bridge: replies; the queue ${queues[1]?.name} is bound by this routing key.`,
      messages: { message: { $ref: '#/components/messages/bridgeReply' } },
      bindings: { amqp: { is: 'routingKey', exchange: exchanges[0] } },
    },
    rabbitmqCommands: queue(
      'bitrix24in',
      'rabbitmqCommand',
      'Contract rabbitmq-to-bitrix24: requests (AMPQIN).',
    ),
    rabbitmqReplies: queue(
      'bitrix24out',
      'rabbitmqReply',
      'Contract rabbitmq-to-bitrix24: answers (AMPQOUT, a queue or an exchange whose routing key is reply_to).',
    ),
    events: {
      address: '{kind}.{member_id}.{event}',
      description: 'What happened in portals; bind queues of your own by patterns of this routing key.',
      parameters: {
        kind: { description: 'By which way it came.' },
        member_id: { description: 'Permanent id of the portal.' },
        event: { description: 'Name of the event in lower case.' },
      },
      messages: { message: { $ref: '#/components/messages/portalEvent' } },
      bindings: {
        amqp: { is: 'routingKey', exchange: { name: EVENT_EXCHANGE, type: 'topic', durable: true } },
      },
    },
  }
}

function queue(name: string | undefined, message: string, description: string): object {
  return {
    address: name,
    description,
    messages: { message: { $ref: `#/components/messages/${message}` } },
    bindings: { amqp: { is: 'queue', queue: { name, durable: true } } },
  }
}

/** The bridge receives commands and sends one reply to each. */
function operations(name: string, commands: string, replies: string): object {
  const one = (channel: string) => ({
    channel: { $ref: `#/channels/${channel}` },
    messages: [{ $ref: `#/channels/${channel}/messages/message` }],
  })
  return { [`${name}Command`]: { action: 'receive', ...one(commands), reply: one(replies) } }
}

const text = { type: 'string' }
const whole = { type: 'integer' }

function messages(): object {
  return {
    nativeCommand: {
      title: 'Native command',
      description:
        'Properties: message_id (recommended: a write with one is never carried out twice), correlation_id, reply_to, expiration.',
      contentType: 'application/json',
      headers: { type: 'object', properties: { ...routingHeaders(), traceparent: text } },
      payload: { $ref: '#/components/schemas/nativeCommand' },
      examples: [
        {
          name: 'call',
          payload: { method: 'crm.deal.get', params: { id: 7 }, meta: { order: 4711 } },
        },
      ],
    },
    nativeReply: {
      title: 'Native reply',
      description:
        'Properties: message_id, correlation_id (that of the command, else its message_id), content_type.',
      contentType: 'application/json',
      headers: {
        type: 'object',
        required: ['x-b24-outcome', 'x-b24-attempts'],
        properties: { ...outcomeHeaders(), traceparent: text },
      },
      payload: { $ref: '#/components/schemas/nativeReply' },
    },
    bridgeCommand: {
      title: 'Command of bitrix24-bridge',
      contentType: 'application/json',
      headers: { type: 'object', properties: routingHeaders() },
      payload: { $ref: '#/components/schemas/bridgeCommand' },
      examples: [
        {
          name: 'list',
          payload: {
            action: 'list',
            method: 'crm.product.list',
            params: { filter: { ACTIVE: 'Y' } },
            meta: {},
          },
        },
      ],
    },
    bridgeReply: {
      title: 'Reply of bitrix24-bridge',
      contentType: 'application/json',
      headers: { type: 'object', properties: { ...outcomeHeaders(), 'x-b24-error': text } },
      payload: { $ref: '#/components/schemas/bridgeReply' },
    },
    rabbitmqCommand: {
      title: 'Request of RabbitMQtoBitrix24',
      description:
        'The body is the parameters, forwarded byte for byte. Property: message_id, which the reply repeats.',
      contentType: 'text/json',
      headers: {
        type: 'object',
        required: ['method'],
        properties: {
          method: { ...text, description: 'REST method.' },
          user: { type: ['string', 'integer'], description: 'User number of the webhook.' },
          token: { ...text, description: 'Code of the webhook; a secret.' },
          ...routingHeaders(),
        },
        anyOf: [{ required: ['user', 'token'] }, { required: ['x-b24-portal'] }],
      },
      payload: { type: ['object', 'array', 'null'] },
    },
    rabbitmqReply: {
      title: 'Answer of RabbitMQtoBitrix24',
      description: 'The body of the portal byte for byte, or { error, error_description }.',
      contentType: 'text/json',
      headers: { type: 'object', properties: { 'x-b24-status': whole, 'x-b24-method': text } },
      payload: { type: 'object' },
    },
    portalEvent: {
      title: 'Event of a portal',
      description: 'Properties: message_id (the key of the event), type (its name), timestamp.',
      contentType: 'application/json',
      headers: {
        type: 'object',
        required: ['x-b24-kind', 'x-b24-portal', 'x-b24-event'],
        properties: {
          'x-b24-kind': text,
          'x-b24-portal': text,
          'x-b24-event': text,
          'x-b24-synthetic': { type: 'boolean' },
        },
      },
      payload: { $ref: '#/components/schemas/portalEvent' },
    },
  }
}

function routingHeaders(): object {
  return {
    'x-b24-portal': { ...text, description: 'Domain of the portal.' },
    'x-b24-priority': { ...text, enum: ['urgent', 'normal', 'bulk'] },
    'x-b24-order-key': {
      type: ['string', 'integer'],
      description: 'Commands with the same key run one after another.',
    },
  }
}

function outcomeHeaders(): object {
  return { 'x-b24-outcome': { ...text, enum: ['done', 'failed', 'unknown'] }, 'x-b24-attempts': whole }
}

function schemas(): object {
  return {
    nativeCommand: draft7(nativeCommandSchema),
    nativeReply: draft7(nativeReplySchema),
    bridgeCommand: draft7(bridgeCommandSchema),
    bridgeReply: draft7(bridgeReplySchema),
    portalEvent: draft7(eventSchema),
  }
}
