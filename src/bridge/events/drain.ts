import type { PortalEvent } from '../../model/event.ts'
import { isHopeless } from './hopeless.ts'
import type { SetAside } from './set-aside.ts'
import type { EventSpoolStore } from './store.ts'

/** What a drain works with. */
export interface DrainParts {
  readonly store: Pick<EventSpoolStore, 'oldest' | 'remove'>
  /** The events as they are to be published, in the same order; never rejects. */
  readonly prepare?: (events: readonly PortalEvent[]) => Promise<readonly PortalEvent[]>
  readonly publish: (event: PortalEvent, options: { readonly signal: AbortSignal }) => Promise<void>
  /** Publications still under way of events that are in the store too, by key. */
  readonly late: ReadonlyMap<string, Promise<unknown>>
  readonly goOn: () => boolean
  /** The right to drain, for longer; false when another process has it. */
  readonly renew: () => Promise<boolean>
  /** An event that no broker could carry leaves the store when this has resolved. */
  readonly setAside: SetAside
  readonly onTrouble: (error: unknown) => void
}

/** Events published at once, in one order. */
const WINDOW = 500

/**
 * Publishes what waits, the oldest first, window by window: one is over before the next begins. Events leave the store
 * after they were confirmed, so that a crash repeats the window, with the same message ids. A broker that fails in the
 * middle has taken none or the first ones: messages on one channel stay in order.
 */
export async function drainSpool(parts: DrainParts): Promise<'empty' | 'stopped'> {
  const { store, prepare, publish, late, goOn, renew, setAside, onTrouble } = parts
  while (goOn() && (await renew())) {
    const rows = await store.oldest(WINDOW)
    if (rows.length === 0) return 'empty'
    const pending = rows.flatMap(({ event }) => late.get(event.key) ?? [])
    if (pending.length > 0) {
      // It may be at the broker already, and then goes away by itself.
      await Promise.allSettled(pending)
      continue
    }
    const events = rows.map(({ event }) => event)
    const outcomes = await publishAll(prepare === undefined ? events : await prepare(events), publish)
    const done: number[] = []
    let trouble: unknown
    for (const [index, outcome] of outcomes.entries()) {
      const { id, event } = rows[index] as (typeof rows)[number]
      if (outcome.status === 'fulfilled') done.push(id)
      else if (isHopeless(outcome.reason)) {
        await setAside(event, outcome.reason)
        done.push(id)
      } else trouble ??= outcome.reason
    }
    await store.remove(done)
    if (trouble === undefined) continue
    onTrouble(trouble)
    return 'stopped'
  }
  return 'stopped'
}

/** After a failure nothing more of the window is sent, or what failed would come after it. */
function publishAll(
  events: readonly PortalEvent[],
  publish: DrainParts['publish'],
): Promise<PromiseSettledResult<void>[]> {
  const failed = new AbortController()
  return Promise.allSettled(
    events.map(async (event) => {
      try {
        await publish(event, { signal: failed.signal })
      } catch (error) {
        if (!isHopeless(error)) failed.abort()
        throw error
      }
    }),
  )
}
