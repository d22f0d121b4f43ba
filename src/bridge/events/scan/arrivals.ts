import type { PortalEvent } from '../../../model/event.ts'
import { arrivalsOf } from './entities.ts'
import type { Arrival, ScanStore } from './store.ts'

/** What has arrived at this process, on its way into the store, where all processes find it. */
export interface Arrivals {
  /** An event is kept. Costs nothing but memory until the next write. */
  note(event: PortalEvent): void
  /** Writes what has not been written. Rejects with a `StoreError`; nothing is forgotten then. */
  flush(): Promise<void>
  close(): Promise<void>
}

export interface ArrivalsOptions {
  readonly store: Pick<ScanStore, 'note'>
  /** Names of the entities that are looked at; others are not noted. */
  readonly entities: ReadonlySet<string>
  /** 2000. */
  readonly flushMs?: number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** More than that is not kept in memory: what falls out is told once more. */
const MOST = 100_000

/**
 * Several events on one object are noted once. What a process notes reaches the others with the next write; what it has
 * not written when it dies is told a second time, never missed.
 */
export function createArrivals({ store, entities, flushMs = 2000, log }: ArrivalsOptions): Arrivals {
  let noted = new Map<string, Arrival>()
  let writing: Promise<void> = Promise.resolve()
  const timer = setInterval(
    () => void flush().catch((error: unknown) => log('scan.unsaved', { err: error })),
    flushMs,
  ).unref()

  function add(arrival: Arrival): void {
    const { memberId, entity, objectId, act, happenedAt } = arrival
    const key = `${memberId}/${entity}/${objectId}/${act}`
    const known = noted.get(key)
    if (known !== undefined && known.happenedAt >= happenedAt) return
    if (known === undefined && noted.size >= MOST) noted.delete(noted.keys().next().value as string)
    noted.set(key, arrival)
  }

  async function write(): Promise<void> {
    if (noted.size === 0) return
    const some = noted
    noted = new Map()
    try {
      await store.note([...some.values()])
    } catch (error) {
      for (const arrival of some.values()) add(arrival)
      throw error
    }
  }

  function flush(): Promise<void> {
    const next = writing.then(write)
    writing = next.catch(() => undefined)
    return next
  }

  return {
    note(event) {
      for (const arrival of arrivalsOf(event)) if (entities.has(arrival.entity)) add(arrival)
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush().catch((error: unknown) => log('scan.unsaved', { err: error }))
    },
  }
}
