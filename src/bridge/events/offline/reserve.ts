import type { CallSettled, LaneCall } from '../../../client/lane/work.ts'
import type { Priority } from '../../../model/call.ts'
import { RestError, TransportError } from '../../../model/errors.ts'
import { clear, listAll, listFree, listReserved, report, reread, reserve } from './calls.ts'
import { type Drain, type DrainParts, type Round, rowsOf, type Travel, troubleIn } from './drain.ts'
import { callsNext, planReserve, type ReservedSet, type ReserveStep } from './reserve-plan.ts'
import { byTime, groupRows, type OfflineRow, versionOf, withoutRepeats } from './row.ts'

/** Rows that were left reserved for so long are worth a warning; the portal drops it after 30 days. */
const STALE_MS = 24 * 3_600_000

/** Rows of one process id, on their way from the portal to the broker and out of the portal. */
interface HeldSet {
  readonly processId: string
  /** By message id. */
  readonly rows: ReadonlyMap<string, OfflineRow>
}

/** What became of a row that is still reserved. */
type Fate = 'confirmed' | 'refused'

/**
 * Drains a queue by reserving: rows are read, published, and only then cleared. A crash at any point leaves them
 * reserved, and whoever comes next finds them by listing; an answer that was lost is found in the same way.
 *
 * https://apidocs.bitrix24.com/api-reference/events/offline-events.html
 */
export class ReservingDrain implements Drain {
  readonly #parts: DrainParts
  readonly #sets = new Map<string, HeldSet>()
  /** By row id and second: what is known of rows whose sets are still held. */
  readonly #fates = new Map<string, Fate>()
  #expected: number | undefined
  #suspicious = true
  /** Listed and not read yet, by process id. */
  readonly #orphans = new Map<string, ReservedSet>()
  /** Listed, but the portal does not show them. */
  readonly #invisible = new Set<string>()
  #most = 50
  /** False once the portal has refused to list reserved rows alone. */
  #filters = true
  #orphansOnly = false

  constructor(parts: DrainParts) {
    this.#parts = parts
  }

  get unsettled(): number {
    return this.#sets.size
  }

  look(): void {
    this.#expected = undefined
    this.#suspicious = true
  }

  /** The portal has ceased to reserve: what is reserved is brought to its end, and nothing new is read. */
  reserveNothing(): void {
    this.#orphansOnly = true
  }

  async round(priority: Priority): Promise<Round> {
    const left = await this.#publish()
    if (left.trouble !== undefined) return { ...left, more: false }
    // A look that is asked for is a look: after the end there may be something new.
    if (this.#expected === 0) this.#expected = 1
    const { limit } = this.#parts
    if (this.#orphansOnly) this.#expected = 0
    const state = {
      settled: this.#settled(),
      expected: this.#expected,
      suspicious: this.#suspicious,
      orphans: [...this.#orphans.values()],
    }
    const steps = planReserve(state, { limit, most: this.#most })
    const settled = await this.#send(steps, { priority })
    const more = this.#take(steps, settled)
    const published = await this.#publish()
    const trouble =
      troubleIn(settled.filter((_, index) => isNeeded(steps[index], settled[index]))) ?? published.trouble
    return {
      events: left.events + published.events,
      lagMs: Math.max(left.lagMs, published.lagMs),
      more: more && trouble === undefined,
      ...(trouble === undefined ? {} : { trouble }),
    }
  }

  async finish(): Promise<void> {
    const steps = this.#settled().slice(0, 50)
    if (steps.length > 0) this.#take(steps, await this.#send(steps, { priority: 'normal', last: true }))
  }

  async #send(steps: readonly ReserveStep[], how: Travel): Promise<readonly CallSettled[]> {
    const { connector, limit, now, submit } = this.#parts
    const startedAt = now()
    const calls = steps.map((step) => callFor(step, connector, { limit, filters: this.#filters }))
    const settled = await submit(calls, how)
    this.#most = callsNext(this.#most, calls.length, (now() - startedAt) / 1000)
    return settled
  }

  /** Learns from the answers. True when there is more to do at once. */
  #take(steps: readonly ReserveStep[], settled: readonly CallSettled[]): boolean {
    const { limit } = this.#parts
    let read = 0
    let full = false
    let count: number | undefined
    let asked = false
    for (const [index, step] of steps.entries()) {
      const end = settled[index] as CallSettled
      asked ||= step.kind === 'reserve'
      // The rows of an answer that never came are reserved under an id that only a list shows.
      if (step.kind === 'reserve' && end.error instanceof TransportError) this.#suspicious = true
      if (step.kind === 'list-reserved' && end.error instanceof RestError) this.#filters = false
      if (end.error !== undefined) continue
      if (step.kind === 'clear' || step.kind === 'report') {
        this.#forget(step.processId, step.messageIds)
        continue
      }
      const answer = rowsOf(end)
      if (answer === undefined) continue
      if (answer.unreadable > 0) this.#parts.log('offline.unreadable', { rows: answer.unreadable })
      if (step.kind === 'count') count = answer.total
      else if (step.kind === 'list-reserved') this.#suspect(answer.rows)
      else if (step.kind === 'reread') this.#adopt(step.processId, answer.rows)
      else {
        full = answer.rows.length + answer.unreadable >= limit
        read += answer.rows.length
        this.#hold(answer.rows)
      }
    }
    if (asked) {
      const rest = Math.max(0, (this.#expected ?? 0) - read)
      this.#expected = count ?? (full ? (rest === 0 ? undefined : rest) : 0)
    }
    if (this.#orphans.size > 0 || steps.some(({ kind }) => kind === 'reread')) return true
    return this.#expected !== 0 && (full || !asked)
  }

  /** Who reserved rows that are not ours? One page of the list is read; the next one when these are gone. */
  #suspect(listed: readonly OfflineRow[]): void {
    this.#suspicious = false
    for (const { processId, hidden } of listed) {
      if (processId === '' || this.#sets.has(processId) || this.#invisible.has(processId)) continue
      this.#orphans.set(processId, { processId, hidden })
    }
  }

  /** Rows that a crashed reader, or an answer that was lost, left behind. */
  #adopt(processId: string, rows: readonly OfflineRow[]): void {
    this.#orphans.delete(processId)
    this.#suspicious = true
    if (rows.length === 0) {
      this.#invisible.add(processId)
      return
    }
    const oldest = rows.reduce((least, { seenAt }) => Math.min(least, seenAt), Number.POSITIVE_INFINITY)
    const ageMs = this.#parts.now() - oldest
    this.#parts.log(ageMs > STALE_MS ? 'offline.stale' : 'offline.adopted', {
      rows: rows.length,
      ageSeconds: Math.round(ageMs / 1000),
    })
    this.#hold(rows)
  }

  #hold(rows: readonly OfflineRow[]): void {
    const bySet = groupRows(rows, ({ processId }) => processId)
    for (const [processId, some] of bySet) {
      if (processId === '') continue
      const known = this.#sets.get(processId)?.rows ?? new Map<string, OfflineRow>()
      const all = new Map([...known, ...some.map((row) => [row.messageId, row] as const)])
      this.#sets.set(processId, { processId, rows: all })
    }
  }

  async #publish(): Promise<Pick<Round, 'events' | 'lagMs' | 'trouble'>> {
    const held = [...this.#sets.values()].flatMap(({ rows }) => [...rows.values()])
    const due = withoutRepeats(held.filter((row) => !this.#fates.has(versionOf(row)))).sort(byTime)
    if (due.length === 0) return { events: 0, lagMs: 0 }
    const { now, log } = this.#parts
    const { confirmed, refused, trouble } = await this.#parts.publish(due)
    for (const row of confirmed) this.#fates.set(versionOf(row), 'confirmed')
    for (const { row, error } of refused) {
      this.#fates.set(versionOf(row), 'refused')
      log('offline.refused', { event: row.event, row: row.id, messageId: row.messageId, code: error.code })
    }
    const lagMs = Math.max(0, now() - (due[0] as OfflineRow).seenAt)
    return { events: confirmed.length, lagMs, ...(trouble === undefined ? {} : { trouble }) }
  }

  /** What the portal may forget, and what it is to hide. */
  #settled(): Extract<ReserveStep, { messageIds: readonly string[] }>[] {
    const steps: Extract<ReserveStep, { messageIds: readonly string[] }>[] = []
    for (const { processId, rows } of this.#sets.values()) {
      const byFate = groupRows(rows.values(), (row) => this.#fates.get(versionOf(row)))
      for (const [fate, kind] of [
        ['confirmed', 'clear'],
        ['refused', 'report'],
      ] as const) {
        const messageIds = (byFate.get(fate) ?? []).map(({ messageId }) => messageId)
        if (messageIds.length > 0) steps.push({ kind, processId, messageIds })
      }
    }
    return steps
  }

  #forget(processId: string, messageIds: readonly string[]): void {
    const set = this.#sets.get(processId)
    if (set === undefined) return
    const gone = new Set(messageIds)
    const left = new Map([...set.rows].filter(([messageId]) => !gone.has(messageId)))
    for (const [messageId, row] of set.rows) if (gone.has(messageId)) this.#fates.delete(versionOf(row))
    if (left.size === 0) this.#sets.delete(processId)
    else this.#sets.set(processId, { processId, rows: left })
  }
}

/** Without the count the next round is smaller than it might be; a list that is refused is asked for in another way. */
function isNeeded(step: ReserveStep | undefined, end: CallSettled | undefined): boolean {
  return step?.kind !== 'count' && !(step?.kind === 'list-reserved' && end?.error instanceof RestError)
}

function callFor(
  step: ReserveStep,
  connector: string,
  { limit, filters }: { readonly limit: number; readonly filters: boolean },
): LaneCall {
  switch (step.kind) {
    case 'clear':
      return clear(connector, step.processId, step.messageIds)
    case 'report':
      return report(connector, step.processId, step.messageIds)
    case 'list-reserved':
      return filters ? listReserved(connector) : listAll(connector)
    case 'reread':
      return reread(connector, step.processId, step.hidden)
    case 'reserve':
      return reserve(connector, limit)
    case 'count':
      return listFree(connector)
  }
}
