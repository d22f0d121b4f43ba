import { createHash } from 'node:crypto'
import { isSuspension } from '../../../client/decode.ts'
import { walkList } from '../../../client/list/pages.ts'
import type { CallOptions } from '../../../model/call.ts'
import { AuthError, RestError, ThrottledError } from '../../../model/errors.ts'
import type { PortalEvent } from '../../../model/event.ts'
import type { JsonObject } from '../../../model/json.ts'
import type { Portal } from '../../portals.ts'
import type { DurableOutlet } from '../spool.ts'
import type { Arrivals } from './arrivals.ts'
import type { ScanEntity } from './entities.ts'
import type { Arrival, ScanStore } from './store.ts'
import { type Changed, changedOf, isoSecond, missed, type Progress, type Window, windowOf } from './window.ts'

/** What looking works with. */
export interface ScanParts {
  readonly store: Pick<ScanStore, 'arrivals' | 'cursor' | 'saveCursor'>
  readonly arrivals: Pick<Arrivals, 'note' | 'flush'>
  readonly outlet: Pick<DurableOutlet, 'keep'>
  /** Changes are looked at when they are so old: by then their events are here, if they come at all. */
  readonly settleMs: number
  readonly now: () => number
}

/** A portal that is looked at. */
export interface ScanTarget {
  readonly memberId: string
  readonly portal: Portal
  readonly entities: readonly ScanEntity[]
  readonly signal: AbortSignal
}

/** How a look ended. */
export interface ScanReport {
  /** Events that had never arrived and are kept now. */
  readonly found: number
  /** Everything that was changed before this moment of the portal has been looked at; 0 when an entity could not be. */
  readonly covered: number
  /** Entities that the portal refuses to list, with the code of its error. */
  readonly refused: ReadonlyMap<string, string>
}

const CALL_MS = 2 * 60_000
const PAGE = 50

/**
 * Looks at every entity of a portal once, all at the same time, so that their first pages share a request. Progress is
 * written after the events of a page are kept: a process that dies in between looks at that page again and keeps the same
 * events under the same keys. Rejects with the error of the portal, the store or the broker; what was kept stays kept.
 */
export async function scanPortal(target: ScanTarget, parts: ScanParts): Promise<ScanReport> {
  const { memberId, portal, entities, signal } = target
  const options: CallOptions = {
    priority: 'bulk',
    source: 'scan',
    credential: portal.credential,
    deadlineMs: CALL_MS,
    signal,
  }
  const portalNow = await clockOf(portal, options)
  const refused = new Map<string, string>()
  const looks = await Promise.allSettled(
    entities.map(async (entity) => {
      const look = new Look(entity, { memberId, portal, options, portalNow }, parts)
      try {
        return await look.run()
      } catch (error) {
        if (!isRefusal(error)) throw error
        refused.set(entity.name, error.code)
        return 0
      }
    }),
  )
  for (const look of looks) if (look.status === 'rejected') throw look.reason
  const found = looks.reduce((sum, look) => sum + (look.status === 'fulfilled' ? look.value : 0), 0)
  return { found, covered: refused.size === 0 ? portalNow - parts.settleMs : 0, refused }
}

/** The portal will not list this, whatever else it does for us. */
function isRefusal(error: unknown): error is RestError {
  if (error instanceof AuthError) return /insufficient_?scope/i.test(error.code)
  return error instanceof RestError && !(error instanceof ThrottledError) && !isSuspension(error)
}

/** The portal's own time, which its rows and events carry. https://apidocs.bitrix24.com/api-reference/common/system/server-time.html */
async function clockOf({ lane }: Portal, options: CallOptions): Promise<number> {
  const [settled] = await lane.submit({ calls: [{ method: 'server.time', params: {} }], options })
  if (settled?.error !== undefined) throw settled.error
  const at = Date.parse(String(settled?.answer?.body.result))
  if (Number.isNaN(at)) throw new RestError('CLOCK_UNREADABLE', 'The portal does not tell its time', 200)
  return at
}

interface Where {
  readonly memberId: string
  readonly portal: Portal
  readonly options: CallOptions
  readonly portalNow: number
}

/** One look at one entity of one portal. */
class Look {
  readonly #entity: ScanEntity
  readonly #where: Where
  readonly #parts: ScanParts
  readonly #name: string
  #found = 0

  constructor(entity: ScanEntity, where: Where, parts: ScanParts) {
    this.#entity = entity
    this.#where = where
    this.#parts = parts
    this.#name = `${scanName(where.memberId)}/${entity.name}`
  }

  /** How many events were found missing. */
  async run(): Promise<number> {
    const { portalNow } = this.#where
    const before = await this.#progress()
    if (before === undefined) {
      await this.#save({ since: portalNow, at: portalNow })
      return 0
    }
    let progress = before
    for (;;) {
      const window = windowOf(progress, portalNow, this.#parts.settleMs)
      if (window === undefined) return this.#found
      await this.#walk(window, progress)
      progress = { since: progress.since, at: window.until }
      await this.#save(progress)
      // A walk that an earlier process began went up to its own end only.
      if (window.after === undefined) return this.#found
    }
  }

  async #walk(window: Window, progress: Progress): Promise<void> {
    const { method, params, filterBy, select } = this.#entity
    const { portal, options } = this.#where
    const filter = { [`>=${filterBy}`]: isoSecond(window.from), [`<=${filterBy}`]: isoSecond(window.until) }
    const pages = walkList(
      portal.lane,
      method,
      { ...params, filter, select: [...select] },
      { ...options, ...(window.after === undefined ? {} : { after: window.after }) },
    )
    for await (const { rows, lastId } of pages) {
      await this.#look(rows, window)
      if (rows.length < PAGE || lastId === null) continue
      await this.#save({ ...progress, walk: { until: window.until, after: lastId } })
    }
  }

  async #look(rows: readonly JsonObject[], window: Window): Promise<void> {
    const { store, arrivals, outlet } = this.#parts
    const changed = rows.flatMap((row) => changedOf(this.#entity, row) ?? [])
    if (changed.length === 0) return
    // What this process has noted must be seen too.
    await arrivals.flush()
    const ids = changed.map(({ id }) => id)
    const { memberId } = this.#where
    const known = new Map<string, Arrival[]>()
    for (const arrival of await store.arrivals({ memberId, entity: this.#entity.name, ids }))
      known.set(arrival.objectId, [...(known.get(arrival.objectId) ?? []), arrival])
    const events = changed.flatMap((row) => {
      const act = missed(row, known.get(row.id) ?? [], window)
      return act === undefined ? [] : [this.#event(row, act)]
    })
    await Promise.all(events.map((event) => outlet.keep(event)))
    for (const event of events) arrivals.note(event)
    await arrivals.flush()
    this.#found += events.length
  }

  /** The same for the same change, whoever finds it. */
  #event({ id, changedAt }: Changed, act: 'ADD' | 'UPDATE'): PortalEvent {
    const { memberId, portal } = this.#where
    const { name, event, data } = this.#entity
    const identity = JSON.stringify([memberId, 'scan', name, id, act, changedAt])
    return {
      kind: 'event',
      memberId,
      domain: portal.domain,
      event: `${event}${act}`,
      data: data(id, act),
      happenedAt: changedAt,
      receivedAt: this.#parts.now(),
      key: createHash('sha256').update(identity).digest('hex'),
      synthetic: true,
    }
  }

  async #progress(): Promise<Progress | undefined> {
    const cursor = await this.#parts.store.cursor(this.#name)
    return cursor === undefined ? undefined : (JSON.parse(cursor.value) as Progress)
  }

  #save(progress: Progress): Promise<void> {
    return this.#parts.store.saveCursor(this.#name, JSON.stringify(progress))
  }
}

/** Under this name stand the lease and the cursors of a portal. */
export function scanName(memberId: string): string {
  return `scan/${memberId}`
}
