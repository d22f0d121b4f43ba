import { BrokerError } from '../../model/errors.ts'
import { exchangeMissing, queueMissing, topologyMismatch } from '../errors.ts'

/** The number RabbitMQ gave when it closed a channel or connection, or 0 for errors that did not come from it. */
export function replyCode(error: unknown): number {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'number' ? code : 0
}

/** The text of any error in one line, without the client library's wrapping. */
export function reasonText(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  const server = /closed by server: \d+ \([A-Z-]+\) with message "(.*)"$/s.exec(text)
  return (server?.[1] ?? text).replace(/\s+/g, ' ').trim()
}

/** What the operation was about, so that an error can name it. */
export interface Subject {
  readonly kind: 'queue' | 'exchange' | 'binding'
  readonly name: string
}

/**
 * RabbitMQ's refusal as a `BrokerError` with a hint: 404 is something missing, 406 something that exists otherwise, 403 a
 * missing permission, 405 a queue that another connection holds. Everything else is a lost connection.
 *
 * https://www.rabbitmq.com/amqp-0-9-1-reference#constants
 */
export function refusal(error: unknown, subject: Subject): BrokerError {
  if (error instanceof BrokerError) return error
  const reason = reasonText(error)
  const details = { cause: error, context: { [subject.kind]: subject.name } }
  switch (replyCode(error)) {
    case 404: {
      const named = /no (exchange|queue) '([^']*)'/.exec(reason)
      const name = named?.[2] ?? subject.name
      const isExchange = (named?.[1] ?? subject.kind) === 'exchange'
      return isExchange ? exchangeMissing(name, { cause: error }) : queueMissing(name, { cause: error })
    }
    case 406:
      return topologyMismatch(
        `The ${subject.kind} '${subject.name}' exists with other settings: ${reason}`,
        details,
      )
    case 403:
      return new BrokerError(
        'ACCESS_REFUSED',
        `The broker refuses access to the ${subject.kind} '${subject.name}': ${reason}`,
        {
          ...details,
          hint: 'Give the broker user the missing permission (rabbitmqctl set_permissions).',
        },
      )
    case 405:
      return new BrokerError(
        'QUEUE_LOCKED',
        `Another connection holds '${subject.name}' for itself: ${reason}`,
        details,
      )
    default:
      return new BrokerError(
        'CONNECTION_LOST',
        `The broker did not answer about '${subject.name}': ${reason}`,
        details,
      )
  }
}
