import { BrokerError, type ErrorDetails } from '../../model/errors.ts'

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
      const exchange =
        subject.kind === 'exchange' || (subject.kind === 'binding' && reason.includes('no exchange'))
      const what = exchange ? 'exchange' : 'queue'
      const name =
        subject.kind === 'binding'
          ? (/no (?:exchange|queue) '([^']*)'/.exec(reason)?.[1] ?? subject.name)
          : subject.name
      const hint = `Create the ${what} '${name}', correct its name, or let the bridge declare it (topology: declare).`
      return new BrokerError(
        what === 'queue' ? 'QUEUE_MISSING' : 'EXCHANGE_MISSING',
        `There is no ${what} '${name}'`,
        {
          ...details,
          hint,
        },
      )
    }
    case 406:
      return mismatch(`The ${subject.kind} '${subject.name}' exists with other settings: ${reason}`, details)
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

function mismatch(sentence: string, details: ErrorDetails): BrokerError {
  return new BrokerError('TOPOLOGY_MISMATCH', sentence, {
    ...details,
    hint: 'Declare it with the settings it has, use topology: passive, or empty and delete it so that it is made anew.',
  })
}
