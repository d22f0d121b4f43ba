import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../../model/errors.ts'
import { gather } from '../../util/gather.ts'
import type { Portal } from '../portals.ts'
import { type Carried, type CarrySettings, carryOut } from './carry.ts'
import { createPace } from './pace.ts'
import type { OutboxEnd, OutboxRow, OutboxStore } from './store.ts'
import {
  chooseSuspects,
  createTrials,
  isSuspect,
  isTriedAlone,
  MOST_DEATHS,
  SUSPECT_FROM,
  type SuspectStore,
} from './suspects.ts'

/** Takes rows of the outbox and brings each to its end. */
export interface OutboxRelay {
  start(): void
  /** There may be rows. */
  wake(): void
  /** Rows that this process has taken and not ended. */
  readonly inHand: number
  /** Takes no more, gives back what was not sent, and waits for the rest. True when it ended in time. Twice is harmless. */
  close(boundMs: number): Promise<boolean>
}

export interface RelayOptions extends Omit<CarrySettings, 'isTooMuch' | 'isConvicted' | 'signal'> {
  readonly store: OutboxStore
  /** Remembers over the end of a process which row was being tried alone. */
  readonly suspects: SuspectStore
  /** The longest pause between two looks. */
  readonly pollMs: number
  /** How long a row is held without a sign of life before another process takes it over; 60 s. */
  readonly leaseMs?: number
  readonly onEnd: (end: OutboxEnd, row: OutboxRow, ms: number) => void
  /** Replies were written that somebody is to be told of. */
  readonly onCallback: () => void
}

/** Rows in hand at most; enough for the lanes to fill every request. */
const WINDOW = 2000
const TAKE = 500
/** So few places are not worth a look. */
const LEAST_FREE = 100
/** Rows that a portal which is down or refuses us may have in its lane, to notice that it is back. */
const BLOCKED_SHARE = 50
/** So long a suspect may wait for a portal that is down: the others cannot be tried meanwhile. */
const SUSPECT_WAITS_MS = 10_000
/** Before such a one is tried again; meanwhile it is the turn of others. */
const SUSPECT_RESTS_MS = 30_000

/**
 * One loop takes rows as places become free, and every row runs beside the others: the lanes pack their calls into
 * requests. Ends of the same tick are written together. While a portal has its share of places, its rows are passed over.
 * Only what is in hand is held for longer: a row that could not be given back, or whose taking was not heard of, comes
 * free by itself. What processes may have died of is tried apart, as `suspects.ts` says.
 */
export function createOutboxRelay(options: RelayOptions): OutboxRelay {
  const { store, now, log, leaseMs = 60_000 } = options
  const trials = createTrials(options.suspects, now)
  const pace = createPace({ longestMs: options.pollMs })
  const stop = new AbortController()
  const rows = new Map<number, { readonly row: OutboxRow; readonly work: Promise<void> }>()
  /** By domain, the rows that went into its lane. */
  const lanes = new Map<string, Set<number>>()
  let loop: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined
  let closed: Promise<boolean> | undefined

  const settings: CarrySettings = { ...options, signal: stop.signal, isTooMuch, isConvicted: false }
  const end = gather(async (ends: readonly OutboxEnd[]) => {
    const own = await store.end(ends)
    return ends.map(({ id }) => own.has(id))
  })
  const giveBack = gather(async (given: readonly { readonly id: number; readonly restMs: number }[]) => {
    const rests = new Map<number, number[]>()
    for (const { id, restMs } of given) rests.set(restMs, [...(rests.get(restMs) ?? []), id])
    for (const [restMs, ids] of rests) await store.giveBack(ids, restMs)
    return given.map(() => undefined)
  })

  async function run(): Promise<void> {
    while (!pace.closed) {
      const free = WINDOW - rows.size
      if (free < LEAST_FREE) {
        // The next end wakes us.
        await pace.wait(true)
        continue
      }
      const taken = await take(Math.min(TAKE, free))
      for (const row of taken) if (!rows.has(row.id)) carry(row)
      if (taken.length < TAKE) await pace.wait(taken.length > 0)
    }
  }

  async function take(limit: number): Promise<readonly OutboxRow[]> {
    try {
      const isTrying = [...rows.values()].some(({ row }) => isSuspect(row))
      return await store.take({
        ttlMs: leaseMs,
        limit,
        exceptPortals: fullPortals(),
        suspectFrom: SUSPECT_FROM,
        chooseSuspects: isTrying ? () => [] : chooseSuspects,
      })
    } catch (error) {
      log('outbox.store', { reason: error instanceof StoreError ? error.code : String(error) })
      return []
    }
  }

  /** Each portal may have an equal share of the places, and one share is left for who comes next. */
  function fullPortals(): (string | null)[] {
    const counts = new Map<string | null, number>()
    for (const { row } of rows.values()) counts.set(row.portal, (counts.get(row.portal) ?? 0) + 1)
    const share = WINDOW / (counts.size + 1)
    return [...counts].filter(([, count]) => count >= share).map(([portal]) => portal)
  }

  function isTooMuch({ domain, lane }: Portal, row: OutboxRow): boolean {
    const held = lanes.get(domain) ?? new Set<number>()
    const share = isSuspect(row) ? 1 : BLOCKED_SHARE
    if (lane.stats().trouble !== undefined && held.size >= share) return true
    lanes.set(domain, held.add(row.id))
    return false
  }

  function carry(row: OutboxRow): void {
    const failed = (error: unknown): void => log('outbox.failed', { outbox: row.id, err: error })
    const work = (isSuspect(row) ? tryApart(row) : bring(row, settings)).catch(failed).finally(() => {
      rows.delete(row.id)
      for (const [domain, held] of lanes) if (held.delete(row.id) && held.size === 0) lanes.delete(domain)
      // The next one of its key, or of its chain, may go now.
      pace.wake()
    })
    rows.set(row.id, { row, work })
  }

  async function tryApart(row: OutboxRow): Promise<void> {
    const patience = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const careful: CarrySettings = {
      ...settings,
      signal: AbortSignal.any([stop.signal, patience.signal]),
      isTooMuch(portal, one) {
        if (isTooMuch(portal, one)) return true
        if (portal.lane.stats().trouble !== undefined)
          timer = setTimeout(() => patience.abort(), SUSPECT_WAITS_MS)
        return false
      },
    }
    try {
      if (!isTriedAlone(row)) return await bring(row, careful)
      const deaths = await trials.begin(row)
      try {
        await bring(row, { ...careful, isConvicted: deaths >= MOST_DEATHS })
      } finally {
        await trials.end(row)
      }
    } finally {
      clearTimeout(timer)
    }
  }

  async function bring(row: OutboxRow, how: CarrySettings): Promise<void> {
    const since = now()
    const carried = await carryOut(row, how)
    if ('restMs' in carried) {
      const isWithdrawn = carried.restMs === 0 && isSuspect(row) && !stop.signal.aborted
      const restMs = isWithdrawn ? SUSPECT_RESTS_MS : carried.restMs
      // Where that fails it comes free when its lease is over.
      await giveBack({ id: row.id, restMs }).catch(() => {})
      return
    }
    const written = await write(row, carried)
    if (written === undefined) return
    options.onEnd(written, row, now() - since)
    if (written.reply.callback_at !== null) options.onCallback()
  }

  /** Until the database has it: it would be carried out again otherwise, or be answered by the ledger. */
  async function write(
    row: OutboxRow,
    carried: Extract<Carried, { end: OutboxEnd }>,
  ): Promise<OutboxEnd | undefined> {
    let { end: one } = carried
    for (let round = 0; !stop.signal.aborted || round < 3; round++) {
      try {
        // What failed beside others is tried alone.
        const own = await (round === 0 ? end(one) : store.end([one]).then((ids) => ids.has(one.id)))
        if (!own) log('outbox.taken-over', { outbox: row.id })
        return own ? one : undefined
      } catch (error) {
        const code = error instanceof StoreError ? error.code : String(error)
        log('outbox.store', { outbox: row.id, reason: code })
        // Too large for this database, most likely.
        if (code === 'STORE_FAILED' && round > 0) one = carried.smaller()
        if (round > 0) await sleep(Math.min(10_000, 200 * 2 ** round))
      }
    }
    return undefined
  }

  async function finish(boundMs: number): Promise<boolean> {
    pace.close()
    stop.abort()
    await loop
    const all = Promise.all([...rows.values()].map(({ work }) => work))
    const bound = new AbortController()
    const late = sleep(boundMs, 'late', { signal: bound.signal }).catch(() => 'late')
    const first = await Promise.race([all, late])
    bound.abort()
    clearInterval(timer)
    // They end with us, and we do not end of them.
    if (first === 'late')
      await Promise.all(
        [...rows.values()].map(({ row }) => (isTriedAlone(row) ? trials.end(row) : undefined)),
      )
    return first !== 'late'
  }

  return {
    start() {
      loop ??= run()
      timer ??= setInterval(() => {
        const ids = [...rows.keys()].sort((a, b) => a - b)
        store.renew(ids, leaseMs).catch((error: unknown) => log('outbox.store', { reason: String(error) }))
      }, leaseMs / 3)
    },
    wake: () => pace.wake(),
    get inHand() {
      return rows.size
    },
    close(boundMs) {
      closed ??= finish(boundMs)
      return closed
    },
  }
}
