import {
  bitrix24BridgeReplyAddress,
  nativeReplyAddress,
  rabbitmqToBitrix24ReplyAddress,
} from '../bridge/contracts/topology.ts'
import type { Address, Broker, Message } from '../brokers/broker.ts'
import type { Config } from '../config/config.ts'
import { CommandError, TransportError } from '../model/errors.ts'
import type { JsonObject } from '../model/json.ts'
import { findOut } from './parts.ts'

/** A command as the sender of the command line means it. */
export interface OutgoingCommand {
  readonly id: string
  readonly action?: 'call' | 'list' | 'batch'
  readonly method: string
  readonly params: JsonObject
}

/** Where commands go under these settings. */
export function commandAddress({ contract }: Config): Address {
  if (contract.name === 'bitrix24-bridge' && contract.exchange !== '')
    return { exchange: contract.exchange, routingKey: contract.commandRoutingKey }
  return { exchange: '', routingKey: contract.commandQueue }
}

/** The command in the form of the contract. Throws a `CommandError` when the contract cannot say it. */
export function commandMessage(config: Config, command: OutgoingCommand): Message {
  const { id, action, method, params } = command
  const base = { messageId: id, correlationId: id, contentType: 'application/json', appId: 'b24-bridge' }
  const json = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))
  switch (config.contract.name) {
    case 'native':
      return { ...base, headers: {}, body: json({ ...(action !== undefined && { action }), method, params }) }
    case 'bitrix24-bridge': {
      const word = action === undefined || action === 'call' ? 'default' : action
      return { ...base, headers: {}, body: json({ action: word, method, params, meta: {} }) }
    }
    case 'rabbitmq-to-bitrix24': {
      if (action !== undefined && action !== 'call')
        throw new CommandError('ACTION_UNKNOWN', `rabbitmq-to-bitrix24 has no action ${action}.`, {
          hint: 'Leave --action out, or use --contract native.',
        })
      if (config.portal === undefined)
        throw new CommandError(
          'PORTAL_MISSING',
          'rabbitmq-to-bitrix24 sends user and token with each command.',
          {
            hint: 'Give the URL of an incoming webhook with BRIDGE_PORTAL or --portal.',
          },
        )
      const { userId: user, secret: token } = config.portal
      return { ...base, headers: { method, user, token }, body: json(params) }
    }
  }
}

/** A queue of our own that hears the replies, until it is closed. */
export interface ReplyListener {
  /** What the command must carry as `reply_to`. */
  readonly replyTo: string
  /** The reply to the command with this id; rejects with `REPLY_TIMEOUT` (the command may still be carried out). */
  wait(id: string, timeoutMs: number, signal: AbortSignal): Promise<Message>
  close(): Promise<void>
}

/** So long the queue of a sender that was killed stays. */
const UNUSED_MS = 60_000

/**
 * Listens for the reply to the command with this id, on a queue of its own: named by `reply_to` where the contract
 * honours it, bound to the exchange of the replies otherwise. Throws a `CommandError` where replies go to a shared queue,
 * from which nothing may be taken.
 */
export async function listenForReplies(config: Config, broker: Broker, id: string): Promise<ReplyListener> {
  // By its id, so that a command sent again hears the reply that was meant for the first one.
  const name = `b24.reply.${id.slice(0, 200)}`
  const { exchange, routingKey } = await replyAddress(config, broker, name)
  if (exchange === '' && routingKey !== name)
    throw new CommandError('REPLY_SHARED', `Replies go to the queue ${routingKey}, which others read.`, {
      hint: 'Add --no-wait to send without waiting for the reply.',
    })
  await broker.declare({
    mode: 'declare',
    exchanges: [],
    queues: [{ name, durable: true, type: 'plain', arguments: { 'x-expires': UNUSED_MS } }],
    bindings: exchange === '' ? [] : [{ queue: name, exchange, routingKey }],
  })
  const waiting = new Map<string, (message: Message) => void>()
  const consumer = await broker.consume(name, { prefetch: 10 }, (delivery) => {
    const { message } = delivery
    delivery.ack()
    waiting.get(message.correlationId ?? message.messageId ?? '')?.(message)
  })
  return {
    replyTo: name,
    wait: (id, timeoutMs, signal) =>
      new Promise((resolve, reject) => {
        const end = (): void => {
          clearTimeout(timer)
          signal.removeEventListener('abort', stop)
          waiting.delete(id)
        }
        const fail = (code: string, why: string): void => {
          end()
          reject(
            new TransportError(code, `${why}; the command stays in the queue and may still be carried out.`, {
              sent: 'maybe',
              hint: '`b24-bridge doctor` shows whether a service reads the command queue; send again with the same --id to ask for the same reply.',
            }),
          )
        }
        const stop = (): void => fail('INTERRUPTED', 'The wait for the reply was interrupted')
        const timer = setTimeout(
          () => fail('REPLY_TIMEOUT', `No reply within ${timeoutMs / 1000} s`),
          timeoutMs,
        )
        signal.addEventListener('abort', stop)
        waiting.set(id, (message) => {
          end()
          resolve(message)
        })
        if (signal.aborted) stop()
      }),
    async close() {
      await consumer.stop()
      await broker.deleteQueue(name)
    },
  }
}

async function replyAddress(config: Config, broker: Broker, replyTo: string): Promise<Address> {
  const { contract } = config
  switch (contract.name) {
    case 'native':
      return nativeReplyAddress({ replyTo }, contract)
    case 'bitrix24-bridge':
      return bitrix24BridgeReplyAddress({ replyTo }, contract)
    case 'rabbitmq-to-bitrix24':
      return rabbitmqToBitrix24ReplyAddress({ replyTo }, contract, await findOut(contract.out, broker))
  }
}
