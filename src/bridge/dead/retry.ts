import type { Address, Broker, Message } from '../../brokers/broker.ts'
import type { DeadLetter } from '../../model/dead-letter.ts'
import { editMessage, type LetterEdit } from './edit.ts'
import { DEAD_HEADERS } from './headers.ts'
import { originalMessage } from './letter.ts'
import { refuseLetter } from './refusals.ts'
import type { DeadLetterStore } from './store.ts'

/** How a letter is to be sent again. */
export interface RetryOptions {
  /** Who wants it: `cli:ann@host`. */
  readonly by: string
  /** A fresh message id: the ledger does not know it, so it runs whatever became of the first one. */
  readonly newId?: boolean
  /** The queue where it goes instead of the one it came from. */
  readonly queue?: string
  readonly edit?: LetterEdit
  /** Although it was sent again before. */
  readonly again?: boolean
  /** Sends nothing, and gives what would be sent. */
  readonly dryRun?: boolean
}

export interface RetryParts {
  readonly store: DeadLetterStore
  readonly broker: Pick<Broker, 'publish'>
  readonly now: () => number
  readonly newId: () => string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What was sent, or would be. */
export interface Sent {
  readonly letter: DeadLetter
  readonly address: Address
  readonly message: Message
}

/** Longer than a publication may take, with its confirm. */
const CLAIM_MS = 60_000

/**
 * Sends the message of a letter to where it came from, as its producer sent it, and marks the letter as retried when the
 * broker has confirmed it. It keeps its message id, so that the ledger answers a write that was carried out after all.
 *
 * Throws a refusal of `LETTER_REFUSALS`, `EDIT_IMPOSSIBLE`, or the error of `Broker.publish`; the letter stays open then.
 */
export async function retryLetter(parts: RetryParts, id: string, options: RetryOptions): Promise<Sent> {
  const { store, now } = parts
  const letter = await store.find(id)
  if (letter === undefined) throw refuseLetter('LETTER_UNKNOWN')
  const address = addressOf(letter, options)
  const content = await store.content(id)
  if (content === undefined) throw refuseLetter('LETTER_UNKNOWN')
  const message = outgoing(originalMessage(content), letter, options, parts.newId)
  if (options.dryRun === true) return { letter, address, message }
  if (!(await store.claim(id, { by: options.by, at: now(), ttlMs: CLAIM_MS, retries: letter.retries })))
    throw refuseLetter('LETTER_BUSY')
  try {
    await parts.broker.publish(address, message)
  } catch (error) {
    await store.settle(id, false)
    throw error
  }
  await store.settle(id, true)
  const { reason, portal, method } = letter
  parts.log('dead.retried', { letter: id, by: options.by, reason, portal, method, queue: address.routingKey })
  return { letter, address, message }
}

/** Where it goes. Throws where it must not go, or nobody knows. */
export function addressOf(
  letter: DeadLetter,
  { newId, queue, again }: Pick<RetryOptions, 'newId' | 'queue' | 'again'>,
): Address {
  if (letter.state === 'retried' && again !== true) throw refuseLetter('LETTER_RETRIED')
  if (letter.unsure && newId !== true) throw refuseLetter('LETTER_UNSURE')
  const address = queue === undefined ? letter.target : { exchange: '', routingKey: queue }
  if (address === undefined) throw refuseLetter('LETTER_WITHOUT_QUEUE')
  return address
}

function outgoing(
  original: Message,
  letter: DeadLetter,
  { edit, newId }: RetryOptions,
  freshId: () => string,
): Message {
  const edited = edit === undefined ? original : editMessage(original, letter.contract, edit)
  const headers = { ...edited.headers, [DEAD_HEADERS.retry]: letter.id }
  if (newId !== true) return { ...edited, headers }
  // The asker knows its command by the first id.
  const correlationId = edited.correlationId ?? edited.messageId
  return {
    ...edited,
    headers,
    messageId: freshId(),
    ...(correlationId === undefined ? {} : { correlationId }),
  }
}
