import { hostname, userInfo } from 'node:os'
import { createDeadLetters, type DeadLetters } from '../../bridge/dead/letters.ts'
import { refuseLetter } from '../../bridge/dead/refusals.ts'
import type { Config } from '../../config/config.ts'
import type { CliIo } from '../io.ts'
import { openToolBroker, openToolClock, type ToolBroker } from '../parts.ts'
import { withVault } from '../vault.ts'

/**
 * Does something with the dead letters of the settings, beside a service that may be running. The broker is opened when
 * the first letter is sent. Rejects with `DEAD_LETTERS_IN_QUEUE` where letters stay in their queue.
 */
export async function withLetters<R>(
  config: Config,
  io: CliIo,
  work: (letters: DeadLetters) => Promise<R>,
): Promise<R> {
  if (config.deadLetters.where === 'queue') throw refuseLetter('DEAD_LETTERS_IN_QUEUE')
  const { deadLetterQueries } = await import('../../stores/bound.ts')
  let opening: Promise<ToolBroker> | undefined
  const open = (): Promise<ToolBroker> => {
    opening ??= openToolBroker(config, { signal: io.signal })
    return opening
  }
  return withVault(config, async ({ store, secrets }) => {
    const clock = await openToolClock(store)
    try {
      return await work(
        createDeadLetters({
          store: deadLetterQueries(store, secrets),
          broker: { publish: async (address, message) => (await open()).broker.publish(address, message) },
          now: clock.now,
          newId: () => crypto.randomUUID(),
          log: () => undefined,
        }),
      )
    } finally {
      clock.close()
      await opening?.then(({ close }) => close()).catch(() => undefined)
    }
  })
}

/** Who is at work, for the record: `cli:ann@host`. */
export function operator(): string {
  try {
    return `cli:${userInfo().username}@${hostname()}`
  } catch {
    // The user of a container may have no name.
    return `cli:${hostname()}`
  }
}
