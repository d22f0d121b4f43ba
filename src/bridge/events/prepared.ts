import type { PortalEvent } from '../../model/event.ts'
import { gather } from '../../util/gather.ts'
import { drainSpool } from './drain.ts'
import { createPause } from './pause.ts'
import type { DurableOutlet, DurableOutletOptions } from './spool.ts'

export interface PreparedOutletOptions extends Omit<DurableOutletOptions, 'budgetMs'> {
  /**
   * What becomes of events between the store and the broker: a window at a time, in the same order. Never rejects, and ends
   * within a few seconds.
   */
  readonly prepare: (events: readonly PortalEvent[]) => Promise<readonly PortalEvent[]>
}

const LEASE_MS = 15_000

/**
 * Every event goes by the store, so that nobody who posts one waits for what is prepared: it is durable when `keep`
 * resolves, and is prepared and published then, in the order of the store. While the store is away events are published
 * as they are. One process publishes for all; what another one keeps it finds when it looks the next time.
 */
export function createPreparedOutlet(options: PreparedOutletOptions): DurableOutlet {
  const { outlet, brokerState, store, prepare, setAside, owner, now, log, pollMs = 500 } = options
  const append = gather(async (events: readonly PortalEvent[]) => {
    await store.append(events)
    return events.map(() => undefined)
  })
  const pause = createPause(now)
  const late = new Map<string, Promise<unknown>>()
  let started = false
  let closed = false
  let woken = false
  let size: { readonly count: number; readonly oldestAt?: number } = { count: 0 }
  let looking: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  const takes = (): boolean => {
    const { connected, blocked } = brokerState()
    return started && connected && !blocked && pause.isOver()
  }

  async function look(): Promise<void> {
    size = await store.size()
    if (size.count === 0 || !takes() || !(await store.lease(owner, LEASE_MS))) return
    const ended = await drainSpool({
      store,
      prepare,
      publish: (event, { signal }) => outlet.publish(event, { signal }),
      late,
      goOn: () => !closed && takes(),
      renew: () => store.lease(owner, LEASE_MS),
      setAside,
      onTrouble(error) {
        pause.begin()
        log('event.spool', { err: error })
      },
    })
    if (ended !== 'empty') return
    pause.forget()
    size = { count: 0 }
  }

  function lookSoon(): void {
    if (closed) return
    timer = undefined
    woken = false
    looking = look()
      .catch((error: unknown) => log('event.spool', { err: error }))
      .then(() => {
        if (!closed) timer = setTimeout(lookSoon, woken && takes() ? 0 : pollMs).unref()
      })
  }

  /** There is something to publish: not only at the next regular look. */
  function wake(): void {
    woken = true
    if (timer === undefined || closed || !takes()) return
    clearTimeout(timer)
    timer = setTimeout(lookSoon, 0).unref()
  }

  return {
    async keep(event) {
      try {
        await append(event)
      } catch (error) {
        if (!takes()) throw error
        await outlet.publish(event)
        return 'published'
      }
      wake()
      return 'spooled'
    },
    waiting: () => ({
      count: size.count,
      ageMs: size.oldestAt === undefined ? 0 : Math.max(0, now() - size.oldestAt),
    }),
    async start() {
      started = true
      lookSoon()
    },
    async close() {
      if (closed) return looking
      closed = true
      clearTimeout(timer)
      await looking
      if (started) await store.release(owner).catch(() => {})
    },
  }
}
