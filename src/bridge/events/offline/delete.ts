import type { CallSettled } from '../../../client/lane/work.ts'
import type { CallAnswer, Priority } from '../../../model/call.ts'
import { isJsonObject } from '../../../model/json.ts'
import { listFree, PAGE, remove } from './calls.ts'
import { cutOff, type DeleteStep, planDelete, type Span, spansOf } from './delete-plan.ts'
import { type Drain, type DrainParts, type Round, rowsOf, type Travel, troubleIn } from './drain.ts'
import { callsNext } from './reserve-plan.ts'
import { byTime, type OfflineRow, versionOf, withoutRepeats } from './row.ts'

/**
 * Drains a queue of a portal that does not reserve: rows are listed and published, and only then read in the way that
 * removes them, restricted to exactly those: their ids, and the second in which they were last seen. What happened
 * again in between has a later second and stays. If the portal removes another row all the same, it is published too.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
 */
export class DeletingDrain implements Drain {
  readonly #parts: DrainParts
  #spans: readonly Span[] = []
  #expected: number | undefined
  #skip = 0
  #fresh = 0
  #most = 50
  /** Gone from the portal and not confirmed yet. */
  #rescued: readonly OfflineRow[] = []
  /** Of what still stands in the portal. */
  readonly #fates = new Map<string, 'confirmed' | 'refused'>()

  constructor(parts: DrainParts) {
    this.#parts = parts
  }

  get unsettled(): number {
    return this.#spans.length + Math.ceil(this.#fresh / PAGE) + (this.#rescued.length > 0 ? 1 : 0)
  }

  look(): void {
    this.#expected = undefined
    this.#skip = 0
  }

  async round(priority: Priority): Promise<Round> {
    const rescued = await this.#rescue()
    if (rescued.trouble !== undefined) return { ...rescued, more: false }
    if (this.#expected === 0) this.look()
    const state = { spans: this.#spans, expected: this.#expected, skip: this.#skip }
    const steps = planDelete(state, this.#most)
    const settled = await this.#send(steps, { priority })
    this.#removed(steps, settled)
    const listed = await this.#listed(steps, settled)
    const late = await this.#rescue()
    const trouble = troubleIn(settled) ?? listed.trouble ?? late.trouble
    return {
      events: rescued.events + listed.events + late.events,
      lagMs: Math.max(rescued.lagMs, listed.lagMs, late.lagMs),
      more: (this.#expected ?? 0) > 0 && trouble === undefined,
      ...(trouble === undefined ? {} : { trouble }),
    }
  }

  async finish(): Promise<void> {
    const steps = planDelete({ spans: this.#spans, expected: 0, skip: 0 }, 50)
    if (steps.length > 0) this.#removed(steps, await this.#send(steps, { priority: 'normal', last: true }))
    const { trouble } = await this.#rescue()
    if (trouble !== undefined)
      this.#parts.log('offline.lost', { rows: this.#rescued.length, code: trouble.code })
  }

  async #send(steps: readonly DeleteStep[], how: Travel): Promise<readonly CallSettled[]> {
    const { connector, now, submit } = this.#parts
    const startedAt = now()
    const calls = steps.map((step) =>
      step.kind === 'list'
        ? listFree(connector, step.start)
        : remove(connector, { ...step.span, limit: step.span.rows.length }),
    )
    const settled = await submit(calls, how)
    this.#most = callsNext(this.#most, calls.length, (now() - startedAt) / 1000)
    return settled
  }

  #removed(steps: readonly DeleteStep[], settled: readonly CallSettled[]): void {
    const done = new Set<Span>()
    for (const [index, step] of steps.entries()) {
      const answer = rowsOf(settled[index] as CallSettled)
      if (step.kind !== 'remove' || answer === undefined) continue
      done.add(step.span)
      const meant = new Set(step.span.rows.map(versionOf))
      this.#rescued = [...this.#rescued, ...answer.rows.filter((row) => !meant.has(versionOf(row)))]
      for (const version of meant) this.#fates.delete(version)
    }
    this.#spans = this.#spans.filter((span) => !done.has(span))
  }

  /** Publishes what was listed, and finds what may be removed in the next round. */
  async #listed(steps: readonly DeleteStep[], settled: readonly CallSettled[]): Promise<Omit<Round, 'more'>> {
    const { now, log, publish } = this.#parts
    const rows: OfflineRow[] = []
    let notAfter = Number.POSITIVE_INFINITY
    let left: number | undefined
    for (const [index, step] of steps.entries()) {
      const end = settled[index] as CallSettled
      const answer = rowsOf(end)
      if (step.kind !== 'list' || answer === undefined || end.answer === undefined) continue
      if (answer.unreadable > 0) log('offline.unreadable', { rows: answer.unreadable })
      rows.push(...answer.rows)
      notAfter = Math.min(notAfter, cutOff(portalClock(end.answer), now()))
      left = Math.max(0, answer.total - step.start - answer.rows.length - answer.unreadable)
    }
    if (left === undefined) return { events: 0, lagMs: 0 }
    const listed = withoutRepeats(rows)
    const old = listed.filter(({ seenAt }) => seenAt <= notAfter)
    const due = old.filter((row) => !this.#fates.has(versionOf(row))).sort(byTime)
    const { confirmed, refused, trouble } = await publish(due)
    for (const row of confirmed) this.#fates.set(versionOf(row), 'confirmed')
    for (const { row, error } of refused) {
      this.#fates.set(versionOf(row), 'refused')
      log('offline.refused', { event: row.event, row: row.id, messageId: row.messageId, code: error.code })
    }
    // Spans that could not be removed stand in the list again.
    this.#spans = spansOf(listed, notAfter, (row) => this.#fates.get(versionOf(row)) === 'confirmed')
    this.#expected = left
    this.#fresh = listed.length - old.length
    const staying = listed.length - this.#spans.reduce((sum, span) => sum + span.rows.length, 0)
    this.#skip += Math.floor(staying / PAGE) * PAGE
    const first = due[0]
    return {
      events: confirmed.length,
      lagMs: first === undefined ? 0 : Math.max(0, now() - first.seenAt),
      ...(trouble === undefined ? {} : { trouble }),
    }
  }

  async #rescue(): Promise<Omit<Round, 'more'>> {
    if (this.#rescued.length === 0) return { events: 0, lagMs: 0 }
    const rows = [...this.#rescued].sort(byTime)
    const { confirmed, refused, trouble } = await this.#parts.publish(rows)
    const ended = new Set([...confirmed, ...refused.map(({ row }) => row)])
    this.#rescued = rows.filter((row) => !ended.has(row))
    for (const { row, error } of refused)
      this.#parts.log('offline.lost', { rows: 1, event: row.event, row: row.id, code: error.code })
    return { events: confirmed.length, lagMs: 0, ...(trouble === undefined ? {} : { trouble }) }
  }
}

/** The portal's clock when it began with a call, where it says so. */
function portalClock(answer: CallAnswer): number | undefined {
  const { time } = answer.body
  for (const one of [time, answer.requestTime]) {
    if (!isJsonObject(one)) continue
    const at = typeof one.start === 'number' ? one.start * 1000 : Date.parse(String(one.date_start))
    if (Number.isFinite(at)) return at
  }
  return undefined
}
