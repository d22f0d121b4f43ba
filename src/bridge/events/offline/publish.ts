import { BridgeError, BrokerError, CommandError } from '../../../model/errors.ts'
import type { PortalEvent } from '../../../model/event.ts'
import { encodeEvent } from '../message.ts'
import type { EventOutlet } from '../outlet.ts'
import type { Published } from './drain.ts'
import { eventOfRow, type OfflineQueueKey, type OfflineRow } from './row.ts'

/** Publications that are under way at once. */
const WINDOW = 500

/** Codes of a broker that will never take this message, however often it is offered. */
const NEVER = new Set(['MESSAGE_TOO_LARGE', 'MESSAGE_INVALID'])

/**
 * Publishes rows in their order and waits for every confirmation. A row that the broker will never take is `refused`;
 * anything else that goes wrong is `trouble`, and what is not confirmed by then may be offered again. After the signal
 * nothing more is offered.
 */
export async function publishRows(
  rows: readonly OfflineRow[],
  queue: OfflineQueueKey & { readonly domain: string },
  parts: {
    readonly outlet: Pick<EventOutlet, 'publishMessage'>
    /** The events as they are to be published, in the same order; never rejects. */
    readonly prepare?: ((events: readonly PortalEvent[]) => Promise<readonly PortalEvent[]>) | undefined
    readonly onPublished?: ((event: PortalEvent) => void) | undefined
    readonly now: () => number
    readonly signal: AbortSignal
  },
): Promise<Published> {
  const { outlet, prepare, onPublished, now, signal } = parts
  const confirmed: OfflineRow[] = []
  const refused: { row: OfflineRow; error: BridgeError }[] = []
  let trouble: BridgeError | undefined
  for (let from = 0; from < rows.length && trouble === undefined; from += WINDOW) {
    if (signal.aborted) return { confirmed, refused, trouble: withdrawn() }
    const window = rows.slice(from, from + WINDOW)
    const plain = window.map((row) => eventOfRow(row, queue, now()))
    const events = prepare === undefined ? plain : await prepare(plain)
    if (signal.aborted) return { confirmed, refused, trouble: withdrawn() }
    const ends = window.map(async (row, index) => {
      try {
        const event = events[index] as PortalEvent
        await outlet.publishMessage(encodeEvent(event))
        onPublished?.(event)
        confirmed.push(row)
      } catch (caught) {
        const error = asBridgeError(caught)
        if (NEVER.has(error.code)) refused.push({ row, error })
        else trouble ??= error
      }
    })
    await Promise.all(ends)
  }
  return { confirmed, refused, ...(trouble === undefined ? {} : { trouble }) }
}

function asBridgeError(caught: unknown): BridgeError {
  if (caught instanceof BrokerError || caught instanceof BridgeError) return caught
  // What cannot even be written as a message will not be better next time.
  return new BrokerError('MESSAGE_INVALID', `The event could not be written: ${String(caught).slice(0, 200)}`)
}

function withdrawn(): CommandError {
  return new CommandError('ABORTED', 'Publishing stopped, because another process has this queue now', {
    status: 499,
  })
}
