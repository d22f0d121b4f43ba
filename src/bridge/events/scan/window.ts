import type { JsonObject } from '../../../model/json.ts'
import type { ScanEntity } from './entities.ts'
import type { Arrival } from './store.ts'

/** How far an entity of a portal has been looked at; all moments are the portal's. */
export interface Progress {
  /** Nothing before this moment is looked at. */
  readonly since: number
  /** Everything that was changed before this moment has been looked at. */
  readonly at: number
  /** A walk that is not over: up to where, and behind which id it goes on. */
  readonly walk?: { readonly until: number; readonly after: string }
}

/** What is looked at now. */
export interface Window {
  /** Changes from this moment on, … */
  readonly from: number
  /** … and up to this one. */
  readonly until: number
  readonly after?: string
}

/**
 * Portals write the moment of a change before others can see it: what became visible late is found within so much time
 * behind what was looked at.
 */
export const OVERLAP_MS = 2 * 60_000

/** What to look at next; `undefined` when nothing is old enough. */
export function windowOf(progress: Progress, portalNow: number, settleMs: number): Window | undefined {
  const from = Math.max(progress.since, progress.at - OVERLAP_MS)
  if (progress.walk !== undefined) return { from, ...progress.walk }
  const until = portalNow - settleMs
  return until > progress.at ? { from, until } : undefined
}

/** An object that was changed, as its list shows it. */
export interface Changed {
  readonly id: string
  readonly createdAt: number
  readonly changedAt: number
}

/** The row as far as it counts; `undefined` for one that has no id or no moment of change. */
export function changedOf({ fields }: Pick<ScanEntity, 'fields'>, row: JsonObject): Changed | undefined {
  const id = row[fields.id]
  const changedAt = momentOf(row[fields.changed])
  if ((typeof id !== 'string' && typeof id !== 'number') || Number.isNaN(changedAt)) return undefined
  return { id: String(id), createdAt: momentOf(row[fields.created]), changedAt }
}

/**
 * What nobody has told of an object: `ADD` when it was made within the window and no event said so; `UPDATE` when no event
 * is as young as its last change. Events and rows carry the same clock, the portal's, precise to the second.
 */
export function missed(
  { createdAt, changedAt }: Changed,
  arrivals: readonly Pick<Arrival, 'act' | 'happenedAt'>[],
  { from, until }: Window,
): 'ADD' | 'UPDATE' | undefined {
  // A portal that takes no notice of the filter must not flood anybody.
  if (changedAt < floorSecond(from) || changedAt > until) return undefined
  const fresh = createdAt >= floorSecond(from)
  if (fresh && !arrivals.some(({ act }) => act === 'add')) return 'ADD'
  return arrivals.some(({ happenedAt }) => happenedAt >= changedAt) ? undefined : 'UPDATE'
}

/** As portals read moments: to the second, with the zone. */
export function isoSecond(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19)}+00:00`
}

function floorSecond(at: number): number {
  return Math.floor(at / 1000) * 1000
}

function momentOf(value: unknown): number {
  return typeof value === 'string' ? Date.parse(value) : Number.NaN
}
