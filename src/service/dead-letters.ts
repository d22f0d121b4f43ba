import { collectDeadLetters, type DeadCommands } from '../bridge/dead/collect.ts'
import { createDeadLetters, type DeadLetters } from '../bridge/dead/letters.ts'
import { deadLetterQueries } from '../stores/bound.ts'
import { pruneLetters } from '../stores/queries/dead-letters.ts'
import type { Secrets } from '../stores/secrets.ts'
import type { Foundation } from './foundation.ts'

/** What was set aside, as the other parts of the service see it. */
export interface DeadLetterPart {
  /** For operators; `undefined` where letters stay in their queue. */
  readonly letters: DeadLetters | undefined
  /** Letters that wait for somebody, as counted a moment ago. */
  open(): number
  /** Begins to move letters from the queue into the store, and to forget old ones. */
  start(queue: string, commands: DeadCommands): void
}

const COUNT_MS = 15_000
const PRUNE_MS = 10 * 60_000

/** Puts the parts together that keep what was set aside. Does no I/O before `start`. */
export function createDeadLetterPart(base: Foundation): DeadLetterPart {
  // Other processes read the same letters.
  const { config, store, secrets, broker, metrics, sharedNow: now, newId, logger, closing } = base
  if (config.deadLetters.where === 'queue')
    return { letters: undefined, open: () => 0, start: () => undefined }
  const queries = deadLetterQueries(store, secrets)
  let waiting = 0
  const log = (event: string, fields: Readonly<Record<string, unknown>>): void => {
    if (event === 'dead.retried') metrics.deadLetterRetried()
    logger[event === 'dead.retried' || event === 'dead.dropped' ? 'info' : 'warn'](fields, event)
  }
  async function count(): Promise<void> {
    waiting = await queries.count({ state: 'open' }).catch(() => waiting)
  }
  return {
    letters: createDeadLetters({ store: queries, broker, now, newId, log }),
    open: () => waiting,
    start(queue, commands) {
      const open = (id: string, sealed: string): string | undefined => {
        try {
          return secrets.open(placeOf(id), sealed)
        } catch (error) {
          logger.warn({ letter: id, err: error }, 'dead.unsealed')
          return undefined
        }
      }
      const collector = collectDeadLetters({ broker, queue, commands, store: queries, open, now, newId, log })
      const timers = [
        setInterval(count, COUNT_MS),
        setInterval(
          () => void pruneLetters(store.db, config.deadLetters.retentionMs).catch(() => 0),
          PRUNE_MS,
        ),
      ]
      void count()
      closing.push(async () => {
        timers.forEach(clearInterval)
        await collector.stop()
      })
    },
  }
}

/** Seals the secret headers of a letter on its way through the queue. */
export function sealForQueue(secrets: Secrets, id: string, text: string): string {
  return secrets.seal(placeOf(id), text)
}

function placeOf(id: string): { table: string; row: string; column: string } {
  return { table: 'dead_letter_queue', row: id, column: 'headers' }
}
