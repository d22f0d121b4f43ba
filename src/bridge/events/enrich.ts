import type { CallSettled } from '../../client/lane/work.ts'
import { BridgeError } from '../../model/errors.ts'
import type { PortalEvent } from '../../model/event.ts'
import type { JsonObject } from '../../model/json.ts'
import type { Portals } from '../portals.ts'
import { type RecordCall, recordCall } from './record.ts'

/** Puts records beside events. */
export interface Enricher {
  /**
   * The events in the same order; those that were asked for with `record`, or with `recordError` when it could not be read
   * in time. What several of them are about is read once. Never rejects, and takes no longer than its wait.
   */
  enrich(events: readonly PortalEvent[]): Promise<readonly PortalEvent[]>
}

export interface EnricherOptions {
  readonly portals: Pick<Portals, 'find'>
  /** Names of events, with `*` for any letters. */
  readonly patterns: readonly string[]
  /** How long records are waited for; 5000. */
  readonly waitMs?: number
  readonly now: () => number
  /** Events were given records, or not. */
  readonly onEnriched: (counts: { readonly read: number; readonly failed: number }) => void
}

type Found = { readonly record: JsonObject } | { readonly recordError: string }

/** A record that is wanted, and by which events. */
interface Wanted {
  readonly event: PortalEvent
  readonly read: RecordCall
  found: Found
}

/** A portal that gave nothing in time is not waited for again for a while: events of others stand behind. */
const REST_MS = 30_000
/** What is larger could keep the event itself from being taken by the broker. */
const MOST_CHARACTERS = 256 * 1024
const LATE: Found = { recordError: 'RECORD_LATE' }

/** Reads records through the lanes of their portals: what is asked for together travels together, 50 a request. */
export function createEnricher(options: EnricherOptions): Enricher {
  const { portals, patterns, waitMs = 5000, now, onEnriched } = options
  const asked = matcher(patterns)
  const resting = new Map<string, number>()

  async function read(wanted: Wanted, signal: AbortSignal): Promise<void> {
    const { memberId, application } = wanted.event
    try {
      const { lane, credential } = await portals.find({
        portal: memberId,
        ...(application === undefined ? {} : { application }),
      })
      signal.throwIfAborted()
      const travel = { source: 'record', credential, deadlineMs: waitMs, signal }
      const [settled] = await lane.submit({ calls: [wanted.read.call], options: travel })
      if (!signal.aborted) wanted.found = foundIn(settled as CallSettled, wanted.read)
    } catch (error) {
      if (!signal.aborted) wanted.found = { recordError: codeOf(error) }
    }
  }

  async function readAll(all: readonly Wanted[]): Promise<void> {
    const late = new AbortController()
    const timer = setTimeout(() => late.abort(), waitMs)
    const ended = new Promise<void>((resolve) => late.signal.addEventListener('abort', () => resolve()))
    await Promise.race([Promise.all(all.map((wanted) => read(wanted, late.signal))), ended])
    clearTimeout(timer)
    late.abort()
  }

  /** Those of which nothing at all came rest. */
  function learn(all: readonly Wanted[]): void {
    const silent = new Set(all.map(({ event }) => event.memberId))
    for (const { event, found } of all) if (found !== LATE) silent.delete(event.memberId)
    if (resting.size > 10_000) resting.clear()
    for (const member of silent) resting.set(member, now() + REST_MS)
  }

  return {
    async enrich(events) {
      const wanted = new Map<string, Wanted>()
      const byEvent = events.map((event) => {
        const call = asked(event.event) ? recordCall(event) : undefined
        if (call === undefined) return undefined
        const { memberId, application = '' } = event
        const key = JSON.stringify([memberId, application, call.call.method, call.call.params])
        const known = wanted.get(key) ?? { event, read: call, found: LATE }
        wanted.set(key, known)
        return known
      })
      if (wanted.size === 0) return events
      const awake = [...wanted.values()].filter(({ event }) => (resting.get(event.memberId) ?? 0) <= now())
      await readAll(awake)
      learn(awake)
      let read = 0
      let failed = 0
      const made = events.map((event, index): PortalEvent => {
        const own = byEvent[index]
        if (own === undefined) return event
        if ('record' in own.found) read += 1
        else failed += 1
        return { ...event, ...own.found }
      })
      onEnriched({ read, failed })
      return made
    },
  }
}

function foundIn({ answer, error }: CallSettled, { read }: RecordCall): Found {
  if (error !== undefined) return error.code === 'DEADLINE_EXCEEDED' ? LATE : { recordError: codeOf(error) }
  const record = read(answer?.body.result)
  if (record === undefined) return { recordError: 'RECORD_MISSING' }
  return JSON.stringify(record).length > MOST_CHARACTERS ? { recordError: 'RECORD_TOO_LARGE' } : { record }
}

/** "Not found" comes from most methods without a code, which makes it `ERROR`. */
function codeOf(error: unknown): string {
  if (!(error instanceof BridgeError)) return 'INTERNAL_ERROR'
  return /^(?:ERROR|(?:ERROR_)?NOT_FOUND)$/.test(error.code) ? 'RECORD_MISSING' : error.code
}

function matcher(patterns: readonly string[]): (event: string) => boolean {
  const tests = patterns.map((pattern) => new RegExp(`^${pattern.toUpperCase().replaceAll('*', '.*')}$`))
  return (event) => tests.some((test) => test.test(event))
}
