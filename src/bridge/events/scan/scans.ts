import { BridgeError, StoreError } from '../../../model/errors.ts'
import type { Portals } from '../../portals.ts'
import { beginTenure } from '../offline/tenure.ts'
import type { ScanEntity } from './entities.ts'
import { type ScanParts, type ScanReport, scanName, scanPortal } from './scan.ts'
import type { ScanStore } from './store.ts'
import { OVERLAP_MS } from './window.ts'

export interface ScansOptions extends Omit<ScanParts, 'store'> {
  readonly store: ScanStore
  readonly portals: Pick<Portals, 'find'>
  readonly entities: readonly ScanEntity[]
  /** How often each portal is looked at. */
  readonly everyMs: number
  /** This process; different for each. */
  readonly owner: string
  readonly random: () => number
  /** How often it is seen who is due; 1000. */
  readonly tickMs?: number
  /** Portals looked at at once; 20. */
  readonly atOnce?: number
  readonly onScanned: (report: { readonly found: number; readonly failed: boolean }) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Looks regularly for changes of which no event told, together with other processes. */
export interface Scans {
  start(): void
  /** An event of this portal was surely or probably lost: it is looked at as soon as the change is old enough. */
  lost(memberId: string): void
  /** Ends what is under way; the next process goes on there. Twice is harmless. */
  close(): Promise<void>
}

/** When a portal is looked at next. */
interface Plan {
  dueAt: number
  /** By our clock: changes up to this moment are wanted without waiting for the next regular look. */
  wanted?: number
}

const PORTALS_MS = 60_000
/** An entity that the portal refuses to list is left alone for so long. */
const REFUSED_MS = 3_600_000
/** Looks are spread over this part of the interval. */
const JITTER = 0.2
const RETRY_MS = 60_000
/** Another process is at it. */
const BUSY_MS = 10_000
const FORGET_EVERY_MS = 10 * 60_000

/** The looks of one process. Holds no timer before `start`. */
export function createScans(options: ScansOptions): Scans {
  const { store, entities, everyMs, settleMs, owner, now, random, log, tickMs = 1000, atOnce = 20 } = options
  const stopping = new AbortController()
  const plans = new Map<string, Plan>()
  const refusedUntil = new Map<string, number>()
  const underWay = new Map<string, Promise<void>>()
  let portalsAt = Number.NEGATIVE_INFINITY
  let forgetAt = 0
  let timer: NodeJS.Timeout | undefined
  let ticking: Promise<void> = Promise.resolve()

  const spread = (ms: number): number => Math.round(ms * (1 - JITTER / 2 + JITTER * random()))

  /** Learns which portals there are. New ones come up soon, a little apart. */
  async function findPortals(): Promise<void> {
    const members = new Set(await store.portals())
    for (const member of plans.keys()) if (!members.has(member)) plans.delete(member)
    const within = Math.min(everyMs / 10, 60_000)
    for (const member of members)
      if (!plans.has(member)) plans.set(member, { dueAt: now() + Math.round(within * random()) })
  }

  async function tick(): Promise<void> {
    if (now() - portalsAt >= PORTALS_MS) {
      portalsAt = now()
      await findPortals()
    }
    if (now() >= forgetAt) {
      forgetAt = now() + FORGET_EVERY_MS
      await store.forget(now() - (2 * everyMs + OVERLAP_MS + settleMs + 3_600_000))
    }
    for (const [member, plan] of plans) {
      if (underWay.size >= atOnce || stopping.signal.aborted) return
      if (plan.dueAt > now() || underWay.has(member)) continue
      underWay.set(
        member,
        visit(member, plan).finally(() => underWay.delete(member)),
      )
    }
  }

  /** One look at one portal. Never rejects; the plan says when the next one is. */
  async function visit(memberId: string, plan: Plan): Promise<void> {
    try {
      const tenure = await beginTenure(store.leases, scanName(memberId), { owner, now })
      if (tenure === undefined) {
        plan.dueAt = now() + BUSY_MS
        return
      }
      try {
        await look(memberId, plan, AbortSignal.any([stopping.signal, tenure.signal]))
      } finally {
        await tenure.end()
      }
    } catch (error) {
      plan.dueAt = now() + spread(Math.min(RETRY_MS, everyMs))
      if (stopping.signal.aborted) return
      options.onScanned({ found: 0, failed: true })
      log('scan.failed', {
        memberId,
        code: error instanceof BridgeError ? error.code : undefined,
        err: error,
      })
    }
  }

  async function look(memberId: string, plan: Plan, signal: AbortSignal): Promise<void> {
    const last = await store.cursor(scanName(memberId))
    const lastAt = last?.updatedAt ?? 0
    if (plan.wanted === undefined && now() < lastAt + everyMs * (1 - JITTER / 2)) {
      // Another process has been there.
      plan.dueAt = lastAt + spread(everyMs)
      return
    }
    const begunAt = now()
    const open = entities.filter(({ name }) => now() >= (refusedUntil.get(`${memberId}/${name}`) ?? 0))
    const portal = await options.portals.find({ portal: memberId })
    const report = await scanPortal({ memberId, portal, entities: open, signal }, options)
    noteRefused(memberId, report)
    await store.saveCursor(scanName(memberId), String(report.covered))
    plan.dueAt = now() + spread(everyMs)
    if (plan.wanted !== undefined) {
      if (plan.wanted <= begunAt - settleMs) delete plan.wanted
      else plan.dueAt = plan.wanted + settleMs + LATE_MS
    }
    options.onScanned({ found: report.found, failed: false })
    log('scan.done', { memberId, found: report.found, ms: now() - begunAt })
  }

  function noteRefused(memberId: string, { refused }: ScanReport): void {
    for (const [entity, code] of refused) {
      refusedUntil.set(`${memberId}/${entity}`, now() + REFUSED_MS)
      log('scan.refused', { memberId, entity, code })
    }
  }

  return {
    start() {
      if (timer !== undefined || stopping.signal.aborted) return
      let busy = false
      timer = setInterval(() => {
        if (busy) return
        busy = true
        ticking = tick()
          .catch((error: unknown) => {
            if (!(error instanceof StoreError)) log('scan.failed', { err: error })
          })
          .finally(() => {
            busy = false
          })
      }, tickMs).unref()
    },
    lost(memberId) {
      const plan = plans.get(memberId) ?? { dueAt: Number.POSITIVE_INFINITY }
      plans.set(memberId, plan)
      plan.wanted = now()
      plan.dueAt = Math.min(plan.dueAt, now() + settleMs + LATE_MS)
    },
    async close() {
      stopping.abort()
      clearInterval(timer)
      await ticking
      await Promise.all(underWay.values())
    },
  }
}

/** Moments of portals are precise to the second. */
const LATE_MS = 2000
