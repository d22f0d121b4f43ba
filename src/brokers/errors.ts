import { BrokerError, type ErrorDetails } from '../model/errors.ts'
import type { Address } from './broker.ts'

/** After `close`. */
export function brokerClosed(): BrokerError {
  return new BrokerError('BROKER_CLOSED', 'The connection to the broker has been closed by this program')
}

export function queueMissing(name: string, details: ErrorDetails = {}): BrokerError {
  return new BrokerError('QUEUE_MISSING', `There is no queue '${name}'`, {
    hint: `Create the queue '${name}', correct its name, or let the bridge declare it (topology: declare).`,
    context: { queue: name },
    ...details,
  })
}

export function exchangeMissing(name: string, details: ErrorDetails = {}): BrokerError {
  return new BrokerError('EXCHANGE_MISSING', `There is no exchange '${name}'`, {
    hint: `Create the exchange '${name}', correct its name, or let the bridge declare it (topology: declare).`,
    context: { exchange: name },
    ...details,
  })
}

/** A queue or exchange exists, but not as asked for. */
export function topologyMismatch(sentence: string, details: ErrorDetails = {}): BrokerError {
  return new BrokerError('TOPOLOGY_MISMATCH', sentence, {
    hint: 'Declare it with the settings it has, use topology: passive, or empty and delete it so that it is made anew.',
    ...details,
  })
}

/** The message reached no queue and was not kept. */
export function unroutable(address: Address, reason: string): BrokerError {
  return new BrokerError('UNROUTABLE', `Nobody receives messages to ${placeOf(address)}: ${reason}`, {
    hint: 'Create the queue, or bind one to that exchange and routing key.',
    context: { exchange: address.exchange, routingKey: address.routingKey },
  })
}

/** The message is larger than the broker takes at all; trying again is of no use. */
export function tooLarge(address: Address, reason: string): BrokerError {
  return new BrokerError('MESSAGE_TOO_LARGE', `The message to ${placeOf(address)} is too large: ${reason}`, {
    hint: "Send less at once, or raise the broker's max_message_size.",
  })
}

/** The broker refused the message. */
export function nacked(address: Address, why: string, cause?: unknown): BrokerError {
  return new BrokerError('NACKED', `The message to ${placeOf(address)} was not accepted: ${why}`, { cause })
}

/** The broker said nothing in time; it may have stored the message. */
export function timedOut(address: Address, ms: number): BrokerError {
  const sentence = `The broker did not confirm the message to ${placeOf(address)} in ${ms} ms`
  return new BrokerError('CONFIRM_TIMEOUT', sentence)
}

/** Whoever published it changed their mind before it was sent. */
export function withdrawn(address: Address): BrokerError {
  return new BrokerError('WITHDRAWN', `The message to ${placeOf(address)} was withdrawn before it was sent`)
}

/** An address in words. */
export function placeOf(address: Address): string {
  return address.exchange === ''
    ? `the queue '${address.routingKey}'`
    : `the exchange '${address.exchange}' with the key '${address.routingKey}'`
}
