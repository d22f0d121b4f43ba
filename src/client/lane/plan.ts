import type { Priority } from '../../model/call.ts'
import type { RequestLimit } from '../../model/limits.ts'
import type { HeldPlaces } from './places.ts'
import { type BucketState, bucketWaitMs, freePlaces, safeCapacity } from './request-bucket.ts'
import type { SourceQueue, Waiting } from './waiting.ts'

/** The portal runs at most 50 commands of a batch. https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html */
export const MAX_BATCH = 50

/** Everything that decides what goes next. The planner only reads it. */
export interface LaneState {
  /** Waiting work by priority; a queue a source, in the order in which the sources came. */
  readonly queues: Readonly<Record<Priority, readonly SourceQueue[]>>
  readonly bucket: BucketState
  /** `null`: the portal has no request limit. */
  readonly limit: RequestLimit | null
  /** Where the counter is shared by several processes: what was granted to this one. */
  readonly held?: HeldPlaces
  readonly inFlight: number
  /** Counts requests sent; turns the round robin. */
  readonly turn: number
  readonly openUntil: number
  readonly probing: boolean
  restUntil(credential: string, method: string): number
  predictSeconds(method: string): number
  readonly settings: LaneSettings
}

/** Bounds of a lane; see `LaneOptions` for their defaults. */
export interface LaneSettings {
  readonly maxInFlight: number
  readonly lingerMs: number
  readonly maxBatchSeconds: number
  readonly maxBatchBytes: number
  /** Places of the bucket that bulk work leaves free for the others. */
  readonly bulkReserve: number
  /** Work that has waited longer than this goes before every priority. */
  readonly agingMs: number
}

/** Where a picked item stands, so that the runner can take it out. */
export interface Pick {
  readonly queue: SourceQueue
  readonly index: number
  readonly item: Waiting
}

/** What to do now. `ms` is how long to wait at most; `undefined` means until something happens. */
export type Plan =
  | { readonly kind: 'send'; readonly picks: readonly Pick[] }
  /** Ask the shared counter for places, while it stays at or below `capacity`; then plan again. */
  | { readonly kind: 'ask'; readonly most: number; readonly capacity: number }
  | {
      readonly kind: 'wait'
      readonly for: 'work' | 'in-flight' | 'portal' | 'bucket' | 'places' | 'rest' | 'linger'
      readonly ms?: number
    }

/**
 * Decides what the lane does next. Pure: it reads the state and the time, changes nothing, and gives the same answer
 * to the same question.
 *
 * Order of the questions: may anything be sent (requests in flight, breaker, bucket)? what would go (old work, then
 * priorities, each round robin over sources, one credential, within all bounds of a batch)? is it worth waiting a
 * moment for a fuller request?
 */
export function plan(state: LaneState, now: number): Plan {
  if (state.inFlight >= (state.probing ? 1 : state.settings.maxInFlight))
    return { kind: 'wait', for: 'in-flight' }
  if (now < state.openUntil) return { kind: 'wait', for: 'portal', ms: state.openUntil - now }

  const picking = new Picking(state, now)
  picking.run()
  const picks = picking.picks
  const first = picks[0]
  if (first === undefined) {
    return Number.isFinite(picking.earliest)
      ? { kind: 'wait', for: 'rest', ms: Math.max(1, picking.earliest - now) }
      : { kind: 'wait', for: 'work' }
  }

  const hasPlace = state.limit === null || (state.held?.free ?? 0) > 0
  const reserve = reserveFor(state, picks, now)
  if (state.limit !== null && !hasPlace) {
    const ms = bucketWaitMs(state.bucket, state.limit, now, reserve)
    if (ms > 0) return { kind: 'wait', for: 'bucket', ms }
  }

  if (!first.item.alone && picking.room > 0 && !picking.full) {
    const oldest = Math.min(...picks.map(({ item }) => item.arrivedAt))
    const ms = oldest + lingerMs(state, now) - now
    if (ms > 0) return { kind: 'wait', for: 'linger', ms: Math.ceil(ms) }
  }
  if (state.held !== undefined && state.limit !== null && !hasPlace) {
    const { asking, notBefore } = state.held
    if (asking) return { kind: 'wait', for: 'places' }
    if (now < notBefore) return { kind: 'wait', for: 'bucket', ms: Math.ceil(notBefore - now) }
    const capacity = safeCapacity(state.bucket, state.limit, now) - reserve
    return { kind: 'ask', most: requestsReady(state, picks.length), capacity: Math.max(1, capacity) }
  }
  return { kind: 'send', picks }
}

/** Bulk work that has waited long asks for no reserve, or it would hold up what waits behind it. */
function reserveFor(state: LaneState, picks: readonly Pick[], now: number): number {
  const fresh = (item: Waiting): boolean => now - item.arrivedAt < state.settings.agingMs
  const bulkOnly = picks.every(({ item }) => item.priority === 'bulk' && fresh(item))
  return bulkOnly ? state.settings.bulkReserve : 0
}

/** Requests that could leave at once, one of which holds so many items. */
function requestsReady({ queues, inFlight, settings }: LaneState, itemsInOne: number): number {
  let waiting = 0
  for (const tier of [queues.urgent, queues.normal, queues.bulk]) for (const { size } of tier) waiting += size
  return Math.max(1, Math.min(settings.maxInFlight - inFlight, Math.floor(waiting / Math.max(1, itemsInOne))))
}

/**
 * How long work may gather. An idle lane with places to spare does not wait. With requests in flight it waits the
 * short linger, under a limit once for each of them: commands arrive as their answers go out, and a full request saves
 * a place. The emptier the bucket's reserve of places, the longer, up to the time that one place takes to come.
 */
function lingerMs(state: LaneState, now: number): number {
  const { lingerMs: once } = state.settings
  if (state.limit === null) return state.inFlight > 0 ? once : 0
  const base = state.inFlight * once
  const half = safeCapacity(state.bucket, state.limit, now) / 2
  const scarcity = 1 - Math.min(1, freePlaces(state.bucket, state.limit, now) / half)
  return Math.max(base, (scarcity * 1000) / state.limit.drainPerSecond)
}

/** Fills one request. Kept apart from `plan` because it has many small facts to carry along. */
class Picking {
  readonly picks: Pick[] = []
  /** Calls that still fit. */
  room: number
  /** True when something did not fit any more. */
  full = false
  /** When the first of the resting items may go; `Infinity` when none rests. */
  earliest = Number.POSITIVE_INFINITY
  readonly #state: LaneState
  readonly #now: number
  readonly #taken = new Set<Waiting>()
  #seconds = 0
  #bytes = 0

  constructor(state: LaneState, now: number) {
    this.#state = state
    this.#now = now
    this.room = state.probing ? 1 : MAX_BATCH
  }

  run(): void {
    const { urgent, normal, bulk } = this.#state.queues
    // A tenth of a request is for work that has waited long, whatever its priority: so nothing starves.
    this.#tier([...urgent, ...normal, ...bulk], { agedOnly: true, most: Math.ceil(MAX_BATCH / 10) })
    for (const queues of [urgent, normal, bulk]) this.#tier(queues, { agedOnly: false, most: MAX_BATCH })
  }

  /** One item from each queue in turn, until the request is full or the queues have nothing that fits. */
  #tier(queues: readonly SourceQueue[], rule: { agedOnly: boolean; most: number }): void {
    const count = queues.length
    if (count === 0) return
    const cursors = new Array<number>(count).fill(0)
    let left = count
    let most = rule.most
    for (
      let turn = this.#state.turn % count;
      left > 0 && most > 0 && this.room > 0 && !this.#closed;
      turn = (turn + 1) % count
    ) {
      const from = cursors[turn] as number
      if (from < 0) continue
      const queue = queues[turn] as SourceQueue
      const index = this.#find(queue, from, rule.agedOnly)
      if (index < 0) {
        cursors[turn] = -1
        left--
        continue
      }
      cursors[turn] = index + 1
      const item = queue.at(index)
      this.#take(queue, index, item)
      most -= item.pending.length
    }
  }

  /** Index of the next item that may be part of this request; -1 when there is none. */
  #find(queue: SourceQueue, from: number, agedOnly: boolean): number {
    let tried = 0
    for (let index = queue.next(from); index >= 0; index = queue.next(index + 1)) {
      const item = queue.at(index)
      if (agedOnly && this.#now - item.arrivedAt < this.#state.settings.agingMs) return -1
      if (this.#taken.has(item)) continue
      const ready = this.#readyAt(item)
      if (ready > this.#now) {
        this.earliest = Math.min(this.earliest, ready)
        continue
      }
      if (this.#fits(item)) return index
      if (++tried >= 200) return -1
    }
    return -1
  }

  #readyAt(item: Waiting): number {
    let at = item.readyAt
    for (const call of item.pending) {
      at = Math.max(at, this.#state.restUntil(item.credential, item.methods[call] as string))
    }
    return at
  }

  #fits(item: Waiting): boolean {
    const first = this.picks[0]
    if (first === undefined) return true
    if (item.alone || first.item.alone || item.credential !== first.item.credential) return false
    const fits =
      item.pending.length <= this.room &&
      this.#bytes + item.bytes <= this.#state.settings.maxBatchBytes &&
      this.#seconds + this.#predict(item) <= this.#state.settings.maxBatchSeconds
    if (!fits) this.full = true
    return fits
  }

  #predict(item: Waiting): number {
    let seconds = 0
    for (const call of item.pending) seconds += this.#state.predictSeconds(item.methods[call] as string)
    return seconds
  }

  #take(queue: SourceQueue, index: number, item: Waiting): void {
    this.picks.push({ queue, index, item })
    this.#taken.add(item)
    this.#seconds += this.#predict(item)
    this.#bytes += item.bytes
    this.room -= item.pending.length
  }

  /** A request whose first item travels alone takes nobody else. */
  get #closed(): boolean {
    return this.picks[0]?.item.alone === true
  }
}
