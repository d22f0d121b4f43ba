import { BrokerError } from '../../model/errors.ts'

/** Trying again would end the same way: it is the event, not the broker. */
export function isHopeless(error: unknown): boolean {
  return error instanceof BrokerError && /^(?:MESSAGE_TOO_LARGE|MESSAGE_INVALID)$/.test(error.code)
}
