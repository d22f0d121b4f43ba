import { createHash } from 'node:crypto'
import type { DeadLetter } from '../../model/dead-letter.ts'
import { BridgeError } from '../../model/errors.ts'
import type { PortalEvent } from '../../model/event.ts'
import type { DeadLetterStore } from '../dead/store.ts'
import { encodeEvent } from './message.ts'

/** Reason of the letter of an event that no broker could carry. */
export const EVENT_UNPUBLISHABLE = 'EVENT_UNPUBLISHABLE'

/**
 * Sets an event aside that no broker could carry. True when it is kept as a dead letter, false when letters are not
 * kept in the store: then it is gone. Rejects with a `StoreError`. Twice is one letter.
 */
export type SetAside = (event: PortalEvent, error: unknown) => Promise<boolean>

export interface SetAsideOptions {
  /** `undefined` where letters stay in their queue, which could not carry it either. */
  readonly letters: Pick<DeadLetterStore, 'insert'> | undefined
  readonly exchange: string
  readonly now: () => number
  /** It will not come the usual way: the portal may have kept it, or it can be found by looking. */
  readonly onLost: (event: PortalEvent) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

export function createSetAside({ letters, exchange, now, onLost, log }: SetAsideOptions): SetAside {
  return async (event, error) => {
    const facts = { member: event.memberId, event: event.event, err: error }
    if (letters === undefined) {
      onLost(event)
      log('event.lost', facts)
      return false
    }
    const { letter, content } = letterOfEvent(event, error, { exchange, now: now() })
    await letters.insert(letter, content)
    onLost(event)
    log('event.set-aside', { ...facts, letter: letter.id })
    return true
  }
}

/** The message that could not be published, as a letter; a retry publishes it as it should have been. */
function letterOfEvent(
  event: PortalEvent,
  error: unknown,
  { exchange, now }: { readonly exchange: string; readonly now: number },
) {
  const { routingKey, message } = encodeEvent(event)
  const { body, ...properties } = message
  const letter: DeadLetter = {
    id: createHash('sha256').update(`event/${event.memberId}/${event.key}`).digest('hex').slice(0, 32),
    kind: 'event',
    state: 'open',
    reason: EVENT_UNPUBLISHABLE,
    ...(error instanceof BridgeError ? { description: error.message.slice(0, 1000) } : {}),
    hint: 'Have the broker take larger messages, then retry it; or read what it names and drop it.',
    unsure: false,
    portal: event.memberId,
    ...(message.messageId === undefined ? {} : { messageId: message.messageId }),
    target: { exchange, routingKey },
    attempts: 0,
    deliveries: 1,
    bytes: body.length,
    sentAt: event.receivedAt,
    diedAt: now,
    storedAt: now,
    retries: 0,
  }
  return { letter, content: { properties: JSON.stringify(properties), secretHeaders: {}, body } }
}
