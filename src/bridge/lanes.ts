import type { Lane, LaneOptions } from '../client/lane/lane.ts'
import { createLane } from '../client/lane/lane.ts'
import type { SharedCounter } from '../client/lane/places.ts'
import type { Rest } from '../client/lane/rests.ts'
import type { Credential } from '../model/credential.ts'
import { type RequestLimit, STANDARD_LIMIT } from '../model/limits.ts'

/** How lanes are made. */
export interface LanesOptions {
  readonly lane: Omit<
    LaneOptions,
    'credential' | 'onRequest' | 'onRest' | 'initialLevel' | 'onLevel' | 'shared' | 'onRenamed'
  >
  /** Keeps the level of each portal's request counter over restarts. */
  readonly levels?: {
    load(domain: string, limit: RequestLimit | null | undefined): number
    save(domain: string, level: number): void
  }
  /** What portals have told other processes to leave alone. */
  readonly rests?: SharedRests
  /** The request counters of portals that other processes call too; without it each is counted here alone. */
  readonly shared?: { counter(domain: string, limit: RequestLimit): SharedCounter }
  readonly onRequest?: (domain: string, report: Parameters<NonNullable<LaneOptions['onRequest']>>[0]) => void
  readonly now: () => number
  /** A lane that was not asked for in so long, and has nothing to do, is closed; ten minutes. */
  readonly idleMs?: number
}

/** What one process was told by a portal, for all that share a store. */
export interface SharedRests {
  /** `undefined`: the portal answers again. */
  tell(domain: string, rest: Rest | undefined): void
  /** What holds now. */
  of(domain: string): readonly Rest[]
}

/** A portal as a command finds it: the lane to it, and the credential to use there. */
export interface LaneUse {
  /** Host name; what replies and logs say. */
  readonly domain: string
  readonly lane: Lane
  readonly credential: Credential
}

/** One lane a portal, however many credentials are used there; lanes that nobody uses are closed. */
export interface Lanes {
  /** The lane to the portal of a credential. What else is said counts when it is opened. */
  open(
    credential: Credential,
    more?: { readonly limit?: RequestLimit | null; readonly onRenamed?: (origin: string) => void },
  ): LaneUse
  list(): readonly LaneUse[]
  /** Closes what has been idle for too long. */
  sweep(): void
  close(graceMs: number): Promise<void>
}

/** Lanes by the domain of their portal. Holds no timer. */
export function createLanes(options: LanesOptions): Lanes {
  const { levels, shared, rests, onRequest, now, idleMs = 10 * 60_000 } = options
  const lanes = new Map<string, LaneUse & { usedAt: number }>()
  return {
    open(credential, more = {}) {
      const { domain } = credential
      let known = lanes.get(domain)
      if (known === undefined) {
        const asked = more.limit === undefined ? options.lane.limit : more.limit
        const limit = asked === undefined ? STANDARD_LIMIT : asked
        const lane = createLane({
          ...options.lane,
          credential,
          limit,
          ...(more.onRenamed === undefined ? {} : { onRenamed: more.onRenamed }),
          ...(rests === undefined ? {} : { onRest: (rest) => rests.tell(domain, rest) }),
          ...(shared === undefined || !limit ? {} : { shared: shared.counter(domain, limit) }),
          ...(levels === undefined || shared !== undefined
            ? {}
            : {
                initialLevel: levels.load(domain, limit),
                onLevel: (level) => levels.save(domain, level),
              }),
          ...(onRequest === undefined ? {} : { onRequest: (report) => onRequest(domain, report) }),
        })
        known = { domain, lane, credential, usedAt: 0 }
        lanes.set(domain, known)
        const learnt = rests?.of(domain) ?? []
        if (learnt.length > 0) lane.learn(learnt)
      }
      known.usedAt = now()
      return { domain, lane: known.lane, credential }
    },
    list: () => [...lanes.values()],
    sweep() {
      for (const [domain, { lane, usedAt }] of lanes) {
        const { waiting, inFlight } = lane.stats()
        if (waiting > 0 || inFlight > 0 || now() - usedAt < idleMs) continue
        lanes.delete(domain)
        void lane.close(0)
      }
    },
    async close(graceMs) {
      await Promise.all([...lanes.values()].map(({ lane }) => lane.close(graceMs)))
    },
  }
}
