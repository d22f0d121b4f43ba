import { StoreError } from '../../model/errors.ts'
import type { EventSpoolStore } from './store.ts'

/** Between two lines of the log about a full store. */
const LINE_MS = 60_000
/** Between two looks at a store that is full. */
const LOOK_MS = 1000

/**
 * The store, holding about so many events at most: beyond it `append` rejects with a `StoreError` `EVENT_SPOOL_FULL`, and
 * the log says `event.spool-full` once a minute. How many there are is counted here, and read again with each `size`, so
 * processes that share the store may pass the bound by what they append within a second.
 */
export function boundSpool(
  store: EventSpoolStore,
  {
    most,
    now,
    log,
  }: {
    readonly most: number
    readonly now: () => number
    readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  },
): EventSpoolStore {
  /** `undefined` before the first look: a process may begin with a store that is full. */
  let count: number | undefined
  let readAt = Number.NEGATIVE_INFINITY
  let loggedAt = Number.NEGATIVE_INFINITY

  async function size() {
    readAt = now()
    const found = await store.size()
    count = found.count
    return found
  }

  return {
    ...store,
    size,
    async append(events) {
      const full = (): boolean => (count ?? 0) + events.length > most
      // What others have drained since is only seen by looking.
      if (count === undefined || (full() && now() - readAt >= LOOK_MS)) await size()
      if (full()) {
        if (now() - loggedAt >= LINE_MS) {
          loggedAt = now()
          log('event.spool-full', { most, hint: 'Events are lost until the broker is back.' })
        }
        throw new StoreError('EVENT_SPOOL_FULL', `More than ${most} events wait for the broker`, {
          hint: 'Bring the broker back, or raise BRIDGE_EVENTS_SPOOL_MAX.',
        })
      }
      count = (count ?? 0) + events.length
      await store.append(events)
    },
    async remove(ids) {
      await store.remove(ids)
      if (count !== undefined) count = Math.max(0, count - ids.length)
    },
  }
}
