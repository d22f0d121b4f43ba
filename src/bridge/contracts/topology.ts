import type { Address, ExchangeSpec, Message, QueueSpec, Topology } from '../../brokers/broker.ts'
import { ConfigError } from '../../model/errors.ts'

/**
 * What must exist at the broker for each contract, and where its replies go. Pure: the caller declares, looks and
 * publishes. Every options object has defaults for all its keys, so that `{}` is the older program's own default.
 */

/** Queues of the native contract. */
export interface NativeQueues {
  /** `b24.commands` unless set. */
  readonly commandQueue?: string
  /** Replies to commands without `reply_to`; `b24.replies` unless set. */
  readonly replyQueue?: string
  /** What was set aside; `b24.dead` unless set. */
  readonly deadQueue?: string
  /** `declare` unless set. */
  readonly topology?: Topology['mode']
}

/** Three durable quorum queues without further arguments: limits belong into broker policies. */
export function nativeTopology(options: NativeQueues = {}): Topology {
  const names = [
    options.commandQueue ?? 'b24.commands',
    nativeReplyQueue(options),
    options.deadQueue ?? 'b24.dead',
  ]
  return {
    mode: options.topology ?? 'declare',
    exchanges: [],
    queues: [...new Set(names)].map((name) => ({ name, durable: true, type: 'quorum' })),
    bindings: [],
  }
}

/** The queue that `reply_to` names, else the reply queue; both by the default exchange. */
export function nativeReplyAddress(message: Pick<Message, 'replyTo'>, options: NativeQueues = {}): Address {
  return toQueue(message.replyTo || nativeReplyQueue(options))
}

function nativeReplyQueue(options: NativeQueues): string {
  return options.replyQueue ?? 'b24.replies'
}

/** Exchange and queues of the older program bitrix24-bridge; each key is one of its `RABBITMQ_…` variables. */
export interface Bitrix24BridgeQueues {
  /** `RABBITMQ_EXCHANGE`: `bitrix24`. */
  readonly exchange?: string
  /** `RABBITMQ_EXCHANGE_TYPE`: `topic`. */
  readonly exchangeType?: ExchangeSpec['type']
  /** `RABBITMQ_EXCHANGE_DURABLE`: true. */
  readonly exchangeDurable?: boolean
  /** `RABBITMQ_QUEUE_DURABLE`: true. */
  readonly queueDurable?: boolean
  /** `RABBITMQ_COMMAND_QUEUE`: `bitrix24-command`. */
  readonly commandQueue?: string
  /** `RABBITMQ_COMMAND_ROUTING_KEY`: `send.command`. */
  readonly commandRoutingKey?: string
  /** `RABBITMQ_SEND_MESSAGE_QUEUE`, or its other name `RABBITMQ_MESSAGE_QUEUE`: `bitrix24-info`. */
  readonly replyQueue?: string
  /** `RABBITMQ_ROUTING_KEY`: `send.info`. */
  readonly replyRoutingKey?: string
  /** Sends a reply to `reply_to` of the command instead, when it has one. False unless set. */
  readonly allowReplyTo?: boolean
  /** `declare` unless set. */
  readonly topology?: Topology['mode']
}

/** One exchange and two bound queues. The queues have no arguments at all, or the broker would refuse the old ones. */
export function bitrix24BridgeTopology(options: Bitrix24BridgeQueues = {}): Topology {
  const exchange = options.exchange ?? 'bitrix24'
  const commandQueue = options.commandQueue ?? 'bitrix24-command'
  const replyQueue = options.replyQueue ?? 'bitrix24-info'
  const durable = options.queueDurable ?? true
  // Everything is bound to the default exchange already, and nothing can be declared or bound there.
  const named = exchange !== ''
  return {
    mode: options.topology ?? 'declare',
    exchanges: named
      ? [{ name: exchange, type: options.exchangeType ?? 'topic', durable: options.exchangeDurable ?? true }]
      : [],
    queues: [commandQueue, replyQueue].map((name) => ({ name, durable, type: 'plain' })),
    bindings: named
      ? [
          { queue: commandQueue, exchange, routingKey: options.commandRoutingKey ?? 'send.command' },
          { queue: replyQueue, exchange, routingKey: options.replyRoutingKey ?? 'send.info' },
        ]
      : [],
  }
}

/** The exchange with the routing key of replies; `reply_to` only where the operator allows it. */
export function bitrix24BridgeReplyAddress(
  message: Pick<Message, 'replyTo'>,
  options: Bitrix24BridgeQueues = {},
): Address {
  if (options.allowReplyTo === true && message.replyTo) return toQueue(message.replyTo)
  return { exchange: options.exchange ?? 'bitrix24', routingKey: options.replyRoutingKey ?? 'send.info' }
}

/** Reads an exchange type as the older program did: in any case, and `topic` for a word that it does not know. */
export function parseExchangeType(text: string): ExchangeSpec['type'] {
  const word = text.trim().toLowerCase()
  return word === 'direct' || word === 'fanout' || word === 'headers' ? word : 'topic'
}

/** Where RabbitMQtoBitrix24 sends replies: see `rabbitmqToBitrix24ReplyAddress`. */
export type ReplyMode = 'auto' | 'exchange' | 'queue' | 'reply_to'

/** Queues of the older program RabbitMQtoBitrix24. */
export interface RabbitmqToBitrix24Queues {
  /** `AMPQIN`: `bitrix24in`. */
  readonly commandQueue?: string
  /** `AMPQOUT`, which is an exchange or a queue: `bitrix24out`. */
  readonly out?: string
  /** `auto` unless set. */
  readonly replyMode?: ReplyMode
  /** `passive` unless set: the older program declares nothing. */
  readonly topology?: Topology['mode']
}

/** What was found at the broker under the name `AMPQOUT`, at the start and after each reconnection. */
export interface FoundOut {
  readonly exchangeExists: boolean
  readonly queueExists: boolean
}

/**
 * The command queue, and `AMPQOUT` where its kind is known: `auto` looks itself and creates a queue only in mode
 * `declare` and only when neither an exchange nor a queue has the name.
 */
export function rabbitmqToBitrix24Topology(
  options: RabbitmqToBitrix24Queues = {},
  found?: FoundOut,
): Topology {
  const mode = options.topology ?? 'passive'
  const out = options.out ?? 'bitrix24out'
  const replyMode = options.replyMode ?? 'auto'
  const nothingFound = found !== undefined && !found.exchangeExists && !found.queueExists
  const outIsQueue = replyMode === 'queue' || (replyMode === 'auto' && mode === 'declare' && nothingFound)
  const queues: QueueSpec[] = [{ name: options.commandQueue ?? 'bitrix24in', durable: true, type: 'plain' }]
  if (outIsQueue) queues.push({ name: out, durable: true, type: 'plain' })
  return {
    mode,
    exchanges: replyMode === 'exchange' ? [{ name: out, type: 'topic', durable: true }] : [],
    queues,
    bindings: [],
  }
}

/**
 * Where a reply goes. `exchange`: `AMPQOUT` with `reply_to` as routing key, empty without one. `queue`: straight to the
 * queue `AMPQOUT`. `reply_to`: straight to the queue that `reply_to` names, to `AMPQOUT` without one. `auto`, for both
 * generations of the older program:
 *
 * | exchange there | queue there | `reply_to` | reply goes to               |
 * | -------------- | ----------- | ---------- | --------------------------- |
 * | yes            | any         | set        | the exchange, key `reply_to` |
 * | any            | yes         | otherwise  | the queue                   |
 * | yes            | no          | not set    | the exchange, empty key     |
 * | no             | no          | any        | nowhere: the start is refused |
 */
export function rabbitmqToBitrix24ReplyAddress(
  message: Pick<Message, 'replyTo'>,
  options: RabbitmqToBitrix24Queues,
  found: FoundOut,
): Address {
  const out = options.out ?? 'bitrix24out'
  const replyTo = message.replyTo ?? ''
  switch (options.replyMode ?? 'auto') {
    case 'exchange':
      return { exchange: out, routingKey: replyTo }
    case 'queue':
      return toQueue(out)
    case 'reply_to':
      return toQueue(replyTo || out)
    case 'auto':
      return found.exchangeExists && (replyTo !== '' || !found.queueExists)
        ? { exchange: out, routingKey: replyTo }
        : toQueue(out)
  }
}

/** Throws a `ConfigError` when `auto` finds neither an exchange nor a queue for replies (and none will be declared). */
export function checkReplyRoute(options: RabbitmqToBitrix24Queues, found: FoundOut): void {
  if ((options.replyMode ?? 'auto') !== 'auto' || options.topology === 'declare') return
  if (found.exchangeExists || found.queueExists) return
  const out = options.out ?? 'bitrix24out'
  throw new ConfigError(
    [`AMPQOUT: the broker has neither an exchange nor a queue named ${out} for the replies.`],
    {
      hint: `Create the queue ${out}, or let the bridge do it with the topology mode "declare".`,
    },
  )
}

function toQueue(name: string): Address {
  return { exchange: '', routingKey: name }
}
