import { setTimeout as sleep } from 'node:timers/promises'
import type { BrokerState } from '../../brokers/broker.ts'
import type { PortalEvent } from '../../model/event.ts'
import { gather } from '../../util/gather.ts'
import { drainSpool } from './drain.ts'
import { isHopeless } from './hopeless.ts'
import { inTime, type UnderWay } from './in-time.ts'
import type { EventOutlet } from './outlet.ts'
import { createPause } from './pause.ts'
import type { SetAside } from './set-aside.ts'
import type { EventSpoolStore } from './store.ts'

/** Where an event is safe. */
export type Kept = 'published' | 'spooled' | 'set-aside'

/** Keeps events: at the broker, or in the store until the broker takes them. */
export interface DurableOutlet {
  /**
   * Resolves when the event is on a disk: one that no broker could carry as a dead letter. Rejects with a `BrokerError`
   * when there are none, with a `StoreError` when broker and store are both away: then it may be lost.
   */
  keep(event: PortalEvent): Promise<Kept>
  /** From now on events go to the broker, after those that were left in the store. Before, all go to the store. */
  start(): Promise<void>
  /** What waited in the store when it was last looked at, of all processes. */
  waiting(): { readonly count: number; readonly ageMs: number }
  /** Ends the drain under way. Twice is harmless; what waits is for the next process. */
  close(): Promise<void>
}

export interface DurableOutletOptions {
  readonly outlet: Pick<EventOutlet, 'publish'>
  readonly brokerState: () => Pick<BrokerState, 'connected' | 'blocked'>
  readonly store: EventSpoolStore
  /** This process; different for each. */
  readonly owner: string
  readonly now: () => number
  /** How long the broker may confirm nothing at all before events go to the store; 250. Eight times as long for one event. */
  readonly budgetMs?: number
  /** How often the store is looked at for events that wait; 500. */
  readonly pollMs?: number
  /** For events that no broker could carry. */
  readonly setAside: SetAside
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** What is known of a portal whose events go to the store. */
interface Behind {
  /** Appends under way. */
  appending: number
  /** Appends so far. */
  appended: number
}

/** How long new events may be held back so that those in the store get out before them. */
const HOLD_MS = 200

/**
 * Each portal's events go one of two ways, and never by both at once:
 *
 * | they go | while |
 * | --- | --- |
 * | to the broker | it takes messages, and nothing of the portal waits in the store |
 * | to the store, behind those that wait | otherwise; and when the broker has confirmed nothing for the budget |
 *
 * Back to the first: what waits is published in order, then new events are held for a moment, the rest is published,
 * and they go on directly. A publication that is confirmed after its event went to the store takes it out again.
 */
export function createDurableOutlet(options: DurableOutletOptions): DurableOutlet {
  const { outlet, brokerState, store, setAside, owner, now, log, budgetMs = 250, pollMs = 500 } = options
  const behind = new Map<string, Behind>()
  /** Publications that took too long, by the key of their event. */
  const late = new Map<string, Promise<unknown>>()
  const append = gather(async (events: readonly PortalEvent[]) => {
    await store.append(events)
    return events.map(() => undefined)
  })
  const pause = createPause(now)
  /** Publications under way, in order of arrival. */
  const underWay = new Set<UnderWay>()
  let attempt = new AbortController()
  let confirmedAt = 0
  let started = false
  let closed = false
  let held: Promise<void> | undefined
  let size: { readonly count: number; readonly oldestAt?: number } = { count: 0 }
  let looking: Promise<void> = Promise.resolve()
  let timer: NodeJS.Timeout | undefined

  const takes = (): boolean => {
    const { connected, blocked } = brokerState()
    return started && connected && !blocked && pause.isOver()
  }

  async function keep(event: PortalEvent): Promise<Kept> {
    if (held !== undefined) await held
    if (!takes() || behind.has(event.memberId)) return toStore(event)
    const publication = outlet.publish(event, { signal: attempt.signal })
    const among = { underWay, member: event.memberId, onFailed: rest }
    const outcome = await inTime(publication, () => leftFor(event), among)
    if (outcome === 'confirmed') {
      confirmedAt = now()
      pause.forget()
      return 'published'
    }
    if (isHopeless(outcome)) {
      if (await setAside(event, outcome)) return 'set-aside'
      throw outcome
    }
    const kept = toStore(event)
    if (outcome === 'late') watchLate(event, publication, kept)
    return kept
  }

  /** A broker that is busy is better waited for: the store would only add to its work. One that is silent is not. */
  function leftFor({ receivedAt }: PortalEvent): number {
    const silent = Math.max(receivedAt, confirmedAt) + budgetMs
    return Math.min(silent, receivedAt + MOST_BUDGETS * budgetMs) - now()
  }

  /** Whatever is under way goes to the store now, in the order in which it came, and is not sent any more. */
  function rest(): void {
    attempt.abort()
    attempt = new AbortController()
    for (const { giveUp } of [...underWay]) giveUp()
    pause.begin()
  }

  async function toStore(event: PortalEvent): Promise<Kept> {
    const known = behind.get(event.memberId) ?? { appending: 0, appended: 0 }
    behind.set(event.memberId, known)
    known.appending += 1
    try {
      await append(event)
      return 'spooled'
    } finally {
      known.appending -= 1
      known.appended += 1
    }
  }

  /** Confirmed after all: then the event is not to be published a second time. */
  function watchLate(event: PortalEvent, publication: Promise<void>, kept: Promise<Kept>): void {
    const settled = (async () => {
      try {
        await kept
        await publication
        await store.removeKey(event)
      } catch {
        // Not confirmed, or not in the store: then there is nothing to take out.
      } finally {
        late.delete(event.key)
      }
    })()
    late.set(event.key, settled)
  }

  /** Forgets the portals of which nothing waits any more, and learns of those whose events others left. */
  async function refresh(): Promise<void> {
    const before = new Map([...behind].map(([member, { appended }]) => [member, appended]))
    const members = new Set(await store.members())
    for (const [member, { appending, appended }] of behind) {
      if (!members.has(member) && appending === 0 && before.get(member) === appended) behind.delete(member)
    }
    for (const member of members) if (!behind.has(member)) behind.set(member, { appending: 0, appended: 0 })
  }

  let draining: Promise<'empty' | 'stopped'> | undefined

  /** One at a time, or the same events would be published twice. */
  function drain(): Promise<'empty' | 'stopped'> {
    draining ??= drainOnce().finally(() => {
      draining = undefined
    })
    return draining
  }

  const drainOnce = (): Promise<'empty' | 'stopped'> =>
    drainSpool({
      store,
      publish: (event, { signal }) => outlet.publish(event, { signal }),
      late,
      goOn: () => !closed && takes(),
      renew: () => store.lease(owner, LEASE_MS),
      setAside,
      onTrouble(error) {
        rest()
        log('event.spool', { err: error })
      },
    })

  /** Holds new events back until those that are being appended, and those in the store, are out. */
  async function switchBack(): Promise<void> {
    let release = (): void => {}
    held = new Promise((resolve) => {
      release = resolve
    })
    const until = now() + HOLD_MS
    try {
      while ([...behind.values()].some(({ appending }) => appending > 0) && now() < until) await sleep(1)
      await Promise.race([drain(), sleep(Math.max(1, until - now()), undefined, { ref: false })])
      await refresh()
    } finally {
      held = undefined
      release()
    }
  }

  async function look(): Promise<void> {
    await refresh()
    size = behind.size === 0 ? { count: 0 } : await store.size()
    if (behind.size === 0 || !takes() || closed) return
    if (!(await store.lease(owner, LEASE_MS))) return
    const count = behind.size
    if ((await drain()) === 'empty') await switchBack()
    await draining
    if (behind.size > 0) return
    size = { count: 0 }
    log('event.drained', { portals: count })
  }

  function lookSoon(): void {
    if (closed) return
    looking = look()
      .catch((error: unknown) => log('event.spool', { err: error }))
      .then(() => {
        if (!closed) timer = setTimeout(lookSoon, pollMs).unref()
      })
  }

  return {
    keep,
    waiting: () => ({
      count: size.count,
      ageMs: size.oldestAt === undefined ? 0 : Math.max(0, now() - size.oldestAt),
    }),
    async start() {
      await refresh()
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

const LEASE_MS = 15_000
/** For one event, while the broker confirms others. */
const MOST_BUDGETS = 8
