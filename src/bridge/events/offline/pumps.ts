import { BridgeError } from '../../../model/errors.ts'
import { findConnectors } from './handlers.ts'
import { type PumpParts, visit } from './pump.ts'
import { nextPollMs, type PollTimes } from './schedule.ts'
import type { OfflinePump, OfflineSource, OfflineStore } from './store.ts'
import { beginTenure, LEASE_MS } from './tenure.ts'

export interface OfflinePumpsOptions extends PumpParts, PollTimes {
  readonly store: OfflineStore
  /** This process; different for each. */
  readonly owner: string
  readonly random: () => number
  /** How often the store is asked for queues that are due; 1000. */
  readonly tickMs?: number
  /** How often the handlers of an application are looked at; a day. */
  readonly handlersMs?: number
  /** Queues that are drained at once; 1000. */
  readonly atOnce?: number
}

/** Numbers of the moment, for metrics. */
export interface OfflineStats {
  readonly queues: number
  /** Queues that cannot be drained now. */
  readonly troubled: number
  /** Queues that this process is at. */
  readonly busy: number
  /** Sets of rows that are read and not yet cleared. */
  readonly unsettled: number
}

/** Fetches what portals keep for their applications, for all queues of all portals, together with other processes. */
export interface OfflinePumps {
  /** Begins to look into queues that are due. Twice is harmless. */
  start(): void
  /**
   * The portal says that something is there: the queues of this application, or of all, are drained now. Never rejects
   * and never waits; before `start` it does nothing.
   */
  nudge(memberId: string, clientId: string | undefined): void
  /** The handlers of an application were changed: they are looked at now. As `nudge`. */
  handlersChanged(memberId: string, clientId: string): void
  stats(): OfflineStats
  /** Stops: what was read is published and cleared, rights are given back. Twice is harmless. */
  close(): Promise<void>
}

const DAY_MS = 24 * 3_600_000
/** A queue that a process has claimed is left alone by the others for so long, unless its end is written before. */
const HOLD_MS = LEASE_MS
/** Polls that one process begins in a second at most; who was called is not counted. */
const POLLS_A_TICK = 20
/** Another process is at the queue: it may be about to end without having seen what we were called for. */
const BUSY_MS = 2000
const BUSY_TRIES = 15
const HANDLERS_TICK_MS = 20_000
/** Before handlers that could not be asked for are asked for again. */
const UNSEEN_MS = 3_600_000

/** Who called. */
type Nudge = Pick<OfflineSource, 'memberId'> & { readonly clientId: string | undefined }

/** What is under way or wanted for one queue. */
interface Entry {
  /** Somebody called while the queue was being drained: once more. */
  again: boolean
  /** Sets of rows that it holds. */
  unsettled: number
}

/** The pumps of one process. They hold no timer before `start`. */
export function createOfflinePumps(options: OfflinePumpsOptions): OfflinePumps {
  const { store, owner, now, random, log, tickMs = 1000, handlersMs = DAY_MS, atOnce = 1000 } = options
  const stopping = new AbortController()
  const visits = new Map<string, Entry>()
  const queued: { readonly pump: OfflinePump; readonly nudged: boolean }[] = []
  const underWay = new Set<Promise<void>>()
  const nudges = new Map<string, { again: boolean }>()
  let counted = { all: 0, troubled: 0 }
  let timers: readonly NodeJS.Timeout[] = []

  function track(work: Promise<void>): void {
    const ended: Promise<void> = work
      .catch((error: unknown) => log('offline.failed', { err: error }))
      .finally(() => underWay.delete(ended))
    underWay.add(ended)
  }

  function begin(pump: OfflinePump, nudged: boolean): void {
    const id = idOf(pump)
    const known = visits.get(id)
    if (known !== undefined) {
      known.again ||= nudged
      return
    }
    if (stopping.signal.aborted) return
    if (underWay.size >= atOnce && visits.size >= atOnce) {
      if (!queued.some((other) => idOf(other.pump) === id)) queued.push({ pump, nudged })
      return
    }
    const entry: Entry = { again: false, unsettled: 0 }
    visits.set(id, entry)
    track(
      attend(pump, nudged, entry).finally(() => {
        visits.delete(id)
        const next = queued.shift()
        if (next !== undefined) begin(next.pump, next.nudged)
      }),
    )
  }

  /** Drains a queue, again as long as somebody called meanwhile. */
  async function attend(first: OfflinePump, nudged: boolean, entry: Entry): Promise<void> {
    let pump = first
    let called = nudged
    for (let tries = 0; !stopping.signal.aborted; ) {
      entry.again = false
      const tenure = await beginTenure(store.leases, leaseName(pump), { owner, now })
      if (tenure === undefined) {
        if (!called || ++tries > BUSY_TRIES) return
        await wait(BUSY_MS * Math.min(tries, 5))
        continue
      }
      try {
        const signals = { lost: tenure.signal, stop: stopping.signal }
        const onRound = (sets: number): void => {
          entry.unsettled = sets
          // What was called for before is there by now: this round, or one behind it, reads it.
          entry.again = false
        }
        const ended = await visit(pump, options, { ...signals, nudged: called, onRound })
        if (tenure.signal.aborted) {
          log('offline.lease-lost', { memberId: pump.memberId, connector: pump.connector })
          return
        }
        pump = afterVisit(pump, ended)
        await store.save(pump)
      } finally {
        await tenure.end()
      }
      if (!entry.again || pump.trouble !== undefined) return
      called = true
    }
  }

  function afterVisit(pump: OfflinePump, ended: Awaited<ReturnType<typeof visit>>): OfflinePump {
    const { events, scheme, schemeUntil, trouble } = ended
    const { memberId, clientId, connector } = pump
    const idlePolls = events > 0 ? 0 : Math.min(pump.idlePolls + 1, 100)
    const next = { memberId, clientId, connector, scheme, schemeUntil, idlePolls }
    if (trouble === undefined) {
      if (pump.trouble !== undefined) log('offline.resumed', { memberId, clientId, connector })
      return { ...next, dueAt: now() + nextPollMs(options, { idlePolls, queues: counted.all }, random) }
    }
    const { error, restMs } = trouble
    if (pump.trouble !== error.code) {
      log('offline.trouble', { memberId, clientId, connector, code: error.code, err: error })
    }
    return { ...next, dueAt: now() + Math.round(restMs * (0.9 + 0.2 * random())), trouble: error.code }
  }

  /** Calls come by the hundred: one look into the store serves all that come meanwhile. */
  async function nudgeAll(source: Nudge, state: { again: boolean }): Promise<void> {
    do {
      state.again = false
      const pumps = await store.pumps(source)
      for (const pump of pumps) begin(pump, true)
      const { memberId, clientId } = source
      if (pumps.length === 0 && clientId !== undefined) await lookAtHandlers({ memberId, clientId })
      await wait(NUDGE_GAP_MS)
    } while (state.again && !stopping.signal.aborted)
  }

  async function lookAtHandlers(source: OfflineSource): Promise<void> {
    try {
      const connectors = await findConnectors(options.portals, source, stopping.signal)
      await store.replace(source, connectors, now())
      await store.see(source, now())
      for (const pump of await store.pumps(source)) if (pump.dueAt <= now()) begin(pump, false)
    } catch (error) {
      if (!(error instanceof BridgeError)) throw error
      if (stopping.signal.aborted) return
      log('offline.unseen', { ...source, code: error.code })
      await store.see(source, now() - handlersMs + Math.min(UNSEEN_MS, handlersMs))
    }
  }

  async function tick(): Promise<void> {
    const free = Math.min(POLLS_A_TICK, atOnce - visits.size)
    if (free <= 0) return
    for (const pump of await store.claimDue(now(), free, HOLD_MS)) begin(pump, false)
  }

  async function handlersTick(): Promise<void> {
    counted = await store.count()
    const unseen = await store.claimUnseen(now() - handlersMs, now(), POLLS_A_TICK)
    for (const source of unseen) {
      if (stopping.signal.aborted) return
      await lookAtHandlers(source)
    }
  }

  function nudge(memberId: string, clientId: string | undefined): void {
    if (timers.length === 0 || stopping.signal.aborted) return
    const id = JSON.stringify([memberId, clientId ?? null])
    const known = nudges.get(id)
    if (known !== undefined) {
      known.again = true
      return
    }
    const state = { again: false }
    nudges.set(id, state)
    track(nudgeAll({ memberId, clientId }, state).finally(() => nudges.delete(id)))
  }

  /** Every so often, a fifth more or less, one run at a time; failures are for the next run. */
  function every(ms: number, run: () => Promise<void>): NodeJS.Timeout {
    let running = false
    const timer = setInterval(
      () => {
        if (running) return
        running = true
        track(
          run()
            .catch((error: unknown) => log('offline.failed', { err: error }))
            .finally(() => {
              running = false
            }),
        )
      },
      Math.round(ms * (0.8 + 0.4 * random())),
    )
    return timer.unref()
  }

  function wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        clearTimeout(timer)
        stopping.signal.removeEventListener('abort', end)
        resolve()
      }
      const timer = setTimeout(end, ms)
      stopping.signal.addEventListener('abort', end)
      if (stopping.signal.aborted) end()
    })
  }

  return {
    start() {
      if (timers.length > 0 || stopping.signal.aborted) return
      timers = [every(tickMs, tick), every(Math.min(HANDLERS_TICK_MS, handlersMs), handlersTick)]
      track(store.takeOver().then(handlersTick))
    },
    nudge,
    handlersChanged(memberId, clientId) {
      if (timers.length === 0 || stopping.signal.aborted) return
      const source = { memberId, clientId }
      track(store.unsee(source).then(() => lookAtHandlers(source)))
    },
    stats: () => ({
      queues: counted.all,
      troubled: counted.troubled,
      busy: visits.size,
      unsettled: [...visits.values()].reduce((sum, { unsettled }) => sum + unsettled, 0),
    }),
    async close() {
      stopping.abort()
      timers.forEach(clearInterval)
      while (underWay.size > 0) await Promise.all(underWay)
    },
  }
}

/** Calls of one application are answered so often at most; one that comes in between is not forgotten. */
const NUDGE_GAP_MS = 1000

function idOf({ memberId, clientId, connector }: OfflinePump): string {
  return `${memberId}/${clientId}/${connector}`
}

/** Names of leases have 255 characters at most; member and client ids are short, connectors are bounded. */
function leaseName(pump: OfflinePump): string {
  return `offline/${idOf(pump)}`.slice(0, 255)
}
