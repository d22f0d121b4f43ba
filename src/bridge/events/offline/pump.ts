import { setTimeout as sleep } from 'node:timers/promises'
import { BridgeError, StoreError } from '../../../model/errors.ts'
import type { PortalEvent } from '../../../model/event.ts'
import { withConnector } from '../../auth-connector.ts'
import type { Portals } from '../../portals.ts'
import type { EventOutlet } from '../outlet.ts'
import { DeletingDrain } from './delete.ts'
import type { Drain, DrainParts } from './drain.ts'
import { publishRows } from './publish.ts'
import { ReservingDrain } from './reserve.ts'
import { remedyFor } from './schedule.ts'
import type { OfflinePump, Scheme } from './store.ts'

/** What a pump works with. */
export interface PumpParts {
  readonly portals: Pick<Portals, 'find'>
  readonly outlet: EventOutlet
  /** The events as they are to be published; see `Enricher`. */
  readonly prepare?: ((events: readonly PortalEvent[]) => Promise<readonly PortalEvent[]>) | undefined
  /** The broker has an event. */
  readonly onPublished?: (event: PortalEvent) => void
  /** Rows that one read brings at most. */
  readonly limit: number
  /** Between the end of a drain and the look after it, which also clears what the drain brought. */
  readonly pauseMs: number
  readonly now: () => number
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** Rows were published; how old the oldest was; sets that are not cleared yet. */
  readonly onDrained: (drained: { readonly events: number; readonly lagMs: number }) => void
}

/** How a visit to a queue ended. */
export interface Visit {
  readonly events: number
  readonly scheme: Scheme
  readonly schemeUntil: number
  /** What ended it before the queue was empty, and how long to leave it alone. */
  readonly trouble?: { readonly error: BridgeError; readonly restMs: number }
}

const SCHEME_MS = 24 * 3_600_000
/** A queue in trouble is given back after so long, so that another process may try. */
const PATIENCE_MS = 2 * 60_000
/** A call that a limit or a portal that is down keeps waiting for so long is given up; it was not sent. */
const CALL_MS = 2 * 60_000
const LAST_MS = 3000
/** So few calls may share a request with others. */
const FEW = 5

/** When a visit is to end before its time. */
export interface VisitSignals {
  /** The right to the queue is lost: nothing more is read, published or cleared. */
  readonly lost: AbortSignal
  /** The process stops: what was read is published and cleared first. */
  readonly stop: AbortSignal
}

/** Why a visit is made, and who watches it. */
export interface VisitHow extends VisitSignals {
  /** Somebody said that there is something. */
  readonly nudged: boolean
  /** Hears before each round how many sets of rows are read and not cleared. */
  readonly onRound: (sets: number) => void
}

/**
 * Drains one queue until it is empty and was empty a moment later. Call it only with the right to the queue. Never
 * rejects.
 *
 * | what | requests |
 * | --- | --- |
 * | an empty queue | 1; 2 when somebody called, because the call may come before the event |
 * | one event | 2: read; clear and look again, after the pause |
 * | n events | about 2n / (50 × limit), and those two |
 */
export async function visit(pump: OfflinePump, parts: PumpParts, how: VisitHow): Promise<Visit> {
  const { memberId, clientId, connector } = pump
  const { now, log } = parts
  const startedAt = now()
  const state = new VisitState(pump, drainParts(pump, parts, how), now)
  let trouble: Visit['trouble']
  try {
    trouble = await run(state, parts, how)
    if (!how.lost.aborted) await state.finish()
  } catch (caught) {
    const error = new StoreError(
      'INTERNAL_ERROR',
      'The bridge failed at this queue; this is a fault of ours',
      {
        cause: caught,
      },
    )
    log('offline.failed', { memberId, clientId, connector, err: error })
    trouble = { error, restMs: PATIENCE_MS }
  }
  const { events, scheme, schemeUntil } = state
  if (events > 0) log('offline.drained', { memberId, clientId, connector, events, ms: now() - startedAt })
  return { events, scheme, schemeUntil, ...(trouble === undefined ? {} : { trouble }) }
}

/** What a visit knows and holds. */
class VisitState {
  scheme: Scheme
  schemeUntil: number
  events = 0
  readonly #parts: DrainParts
  readonly #now: () => number
  readonly #reserving: ReservingDrain
  /** The first one is at work; the one behind it waits until it holds nothing. */
  #line: readonly Drain[]

  constructor(pump: OfflinePump, parts: DrainParts, now: () => number) {
    this.#parts = parts
    this.#now = now
    this.scheme = pump.schemeUntil > now() ? pump.scheme : 'unknown'
    this.schemeUntil = pump.schemeUntil
    this.#reserving = new ReservingDrain(parts)
    this.#line = this.scheme === 'delete' ? [new DeletingDrain(parts)] : [this.#reserving]
  }

  get drain(): Drain {
    return this.#line[0] as Drain
  }

  /** True when the drain at work has made way for another one. */
  advance(): boolean {
    if (this.#line.length === 1 || this.drain.unsettled > 0) return false
    this.#line = this.#line.slice(1)
    return true
  }

  reserves(): void {
    if (this.scheme === 'unknown') this.#believe('reserve')
  }

  reservesNot(): void {
    this.#believe('delete')
    this.#reserving.reserveNothing()
    this.#line = [this.#reserving, new DeletingDrain(this.#parts)]
  }

  async finish(): Promise<void> {
    for (const drain of this.#line) await drain.finish()
  }

  #believe(scheme: Scheme): void {
    this.scheme = scheme
    this.schemeUntil = this.#now() + SCHEME_MS
  }
}

async function run(
  state: VisitState,
  { now, pauseMs, onDrained }: PumpParts,
  { lost, stop, nudged, onRound }: VisitHow,
): Promise<Visit['trouble']> {
  const signal = AbortSignal.any([lost, stop])
  let troubledAt: number | undefined
  let tries = 0
  let urgent = nudged
  let looks = nudged ? 1 : 0
  while (!signal.aborted) {
    const { drain } = state
    onRound(drain.unsettled)
    const { trouble: error, ...round } = await drain.round(urgent ? 'normal' : 'bulk')
    urgent = false
    state.events += round.events
    if (round.events > 0) {
      looks = 0
      onDrained(round)
    }
    if (error === undefined) {
      troubledAt = undefined
      tries = 0
      state.reserves()
      if (round.more || state.advance()) continue
      if (round.events === 0 && drain.unsettled === 0 && looks-- <= 0) return undefined
      await pause(pauseMs, signal)
      continue
    }
    if (signal.aborted) return undefined
    const remedy = remedyFor(error, ++tries)
    if (remedy.kind === 'other-scheme') {
      if (state.scheme === 'delete') return { error, restMs: SCHEME_MS }
      state.reservesNot()
      continue
    }
    troubledAt ??= now()
    if (remedy.kind === 'rest' || now() - troubledAt > PATIENCE_MS) return { error, restMs: remedy.ms }
    await pause(remedy.ms, signal)
  }
  return undefined
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}

/** The portal is looked up for each request: it may have moved, or be suspended, or have tokens of another user. */
function drainParts(pump: OfflinePump, parts: PumpParts, { lost, stop }: VisitSignals): DrainParts {
  const { portals, outlet, prepare, onPublished, now, log, limit } = parts
  const { memberId, clientId, connector } = pump
  const wish = { portal: memberId, application: clientId }
  const either = AbortSignal.any([lost, stop])
  return {
    connector,
    limit,
    now,
    log: (event, fields) => log(event, { memberId, clientId, connector, ...fields }),
    async submit(calls, { priority, last }) {
      try {
        const { lane, credential: plain } = await portals.find(wish)
        const credential = withConnector(plain, connector)
        const until =
          last === true ? { signal: lost, deadlineMs: LAST_MS } : { signal: either, deadlineMs: CALL_MS }
        const options = { priority, source: 'offline', credential, ...until }
        // Apart, so that one call that a limit holds back does not keep the rows of the others.
        return await lane.submit({ calls, isolated: calls.length > FEW, options })
      } catch (error) {
        if (!(error instanceof BridgeError)) throw error
        return calls.map(() => ({ error }))
      }
    },
    async publish(rows) {
      try {
        const { domain } = await portals.find(wish)
        return await publishRows(
          rows,
          { memberId, clientId, connector, domain },
          { outlet, prepare, onPublished, now, signal: lost },
        )
      } catch (error) {
        if (!(error instanceof BridgeError)) throw error
        return { confirmed: [], refused: [], trouble: error }
      }
    },
  }
}
