import type { HeaderValue, Message } from '../../brokers/broker.ts'
import type { Priority } from '../../model/call.ts'
import { CommandError } from '../../model/errors.ts'

/** Headers that every contract understands, and that none of the older programs used. */
export interface RoutingHeaders {
  portal?: string
  priority?: Priority
  orderKey?: string
}

/** The words of `priority`, the most urgent first. */
const PRIORITIES: readonly Priority[] = ['urgent', 'normal', 'bulk']

/**
 * Reads `x-b24-portal`, `x-b24-priority` and `x-b24-order-key`. Numbers are taken for their text; an absent or null
 * header gives nothing. Throws a `CommandError` `HEADER_INVALID` for any other type and for an unknown priority.
 */
export function readRoutingHeaders(headers: Message['headers']): RoutingHeaders {
  const found: RoutingHeaders = {}
  const portal = headerText(headers, 'x-b24-portal')
  const priority = headerText(headers, 'x-b24-priority')
  const orderKey = headerText(headers, 'x-b24-order-key')
  if (portal !== undefined) found.portal = portal
  if (orderKey !== undefined) found.orderKey = orderKey
  if (priority !== undefined) {
    if (!isPriority(priority)) {
      throw new CommandError('HEADER_INVALID', 'The header x-b24-priority must be urgent, normal or bulk.', {
        hint: 'Leave it out for normal.',
      })
    }
    found.priority = priority
  }
  return found
}

/** A header as text: numbers by their digits, absent, null and empty as `undefined`; `HEADER_INVALID` otherwise. */
export function headerText(headers: Message['headers'], name: string): string | undefined {
  const value: HeaderValue | undefined = headers[name]
  if (value === undefined || value === null || value === '') return undefined
  if (typeof value === 'string') return value
  if (typeof value === 'number' && Number.isSafeInteger(value)) return String(value)
  throw new CommandError('HEADER_INVALID', `The header ${name} must be text.`, {
    hint: 'Set it as a string (AMQP type longstr).',
  })
}

function isPriority(text: string): text is Priority {
  return (PRIORITIES as readonly string[]).includes(text)
}
