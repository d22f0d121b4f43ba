import type { BrokerError } from '../../model/errors.ts'
import type { Address } from '../broker.ts'
import { exchangeMissing, nacked, tooLarge } from '../errors.ts'
import { reasonText, replyCode } from './errors.ts'

/** What is looked at of a publication. */
export interface Suspect extends Address {
  readonly body: Buffer
}

/**
 * RabbitMQ closes a channel because of one publication and names it only by its exchange or its size. Gives the error
 * for a publication that is to blame, `undefined` for one that is not; a lone one always is.
 */
export function blameFor(error: Error, suspect: Suspect, alone: boolean): BrokerError | undefined {
  const missing =
    replyCode(error) === 404 ? /no exchange '(.*?)' in vhost/.exec(error.message)?.[1] : undefined
  const size = Number(/message size (\d+) is larger than/.exec(error.message)?.[1])
  if (suspect.body.length === size) return tooLarge(suspect, reasonText(error))
  if (missing !== undefined && (alone || suspect.exchange === missing)) {
    return exchangeMissing(missing, { cause: error })
  }
  return alone ? nacked(suspect, reasonText(error), error) : undefined
}
