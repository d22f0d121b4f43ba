import { Credentials } from './credentials.ts'
import { createData, type PortalData } from './data.ts'
import { OperatingLedger, RequestBucket, type RequestLimits } from './limits.ts'
import { limitsOfPlan, type Plan, type Settings } from './options.ts'
import { type SandboxStats, Tally } from './stats.ts'
import type { Row } from './table.ts'

/** What can be changed in a running portal. */
export interface PortalChanges {
  /** Every call is answered with `PORTAL_DELETED`. */
  readonly stopped?: boolean
  /** REST is not part of the plan: every call is answered with `ACCESS_DENIED`. */
  readonly freePlan?: boolean
  /** Webhook secrets and access tokens that are blocked with `OVERLOAD_LIMIT`; replaces the list before. */
  readonly overloaded?: readonly string[]
  /** Scopes by webhook secret or access token. A secret that is new becomes a webhook of user 1. */
  readonly scopes?: Readonly<Record<string, readonly string[]>>
  /** Access tokens that have run out. */
  readonly expired?: readonly string[]
  readonly plan?: Plan
  readonly limits?: RequestLimits | 'off'
  /** Simulated seconds by method name; those not named keep theirs. */
  readonly costs?: Readonly<Record<string, number>>
  readonly latencyMs?: number
}

/** An event handler as `event.bind` left it. */
export interface EventHandler {
  readonly event: string
  readonly handler: string
  readonly auth_type: string
  readonly offline: number
}

/** One portal: its data, its limits, who may call it and what it has seen. */
export class Portal {
  readonly data: PortalData
  readonly tally = new Tally()
  readonly ledger = new OperatingLedger()
  readonly credentials = new Credentials()
  readonly costs: Record<string, number>
  readonly settings: Settings
  readonly handlers: EventHandler[] = []
  stopped = false
  freePlan = false
  plan: Plan
  limits: RequestLimits | 'off'
  latencyMs: number
  readonly #now: () => number
  readonly #buckets = new Map<string, RequestBucket>()

  constructor(settings: Settings, now: () => number) {
    this.settings = settings
    this.#now = now
    this.data = createData(settings.counts)
    this.costs = { ...settings.costs }
    this.plan = settings.plan
    this.limits = settings.limits
    this.latencyMs = settings.latencyMs
  }

  now(): number {
    return this.#now()
  }

  /** Counts a request from a source address; false when it is one too many. */
  admits(source: string): boolean {
    if (this.limits === 'off') return true
    let bucket = this.#buckets.get(source)
    if (bucket === undefined) {
      bucket = new RequestBucket()
      this.#buckets.set(source, bucket)
    }
    return bucket.take(this.now(), this.limits, this.settings.switches)
  }

  /** Notes a write that was carried out. */
  wrote(method: string, id: number, row: Row): void {
    this.tally.wrote(method, id, row)
  }

  change(changes: PortalChanges): void {
    if (changes.stopped !== undefined) this.stopped = changes.stopped
    if (changes.freePlan !== undefined) this.freePlan = changes.freePlan
    if (changes.overloaded !== undefined) this.credentials.overload(changes.overloaded)
    for (const [secret, scopes] of Object.entries(changes.scopes ?? {}))
      this.credentials.grant(secret, scopes)
    for (const token of changes.expired ?? []) this.credentials.expire(token)
    if (changes.plan !== undefined) {
      this.plan = changes.plan
      this.limits = limitsOfPlan(changes.plan)
    }
    if (changes.limits !== undefined) this.limits = changes.limits
    if (changes.latencyMs !== undefined) this.latencyMs = changes.latencyMs
    Object.assign(this.costs, changes.costs)
  }

  stats(faults: Readonly<Record<string, number>>, withLog: boolean): SandboxStats {
    const { tally } = this
    const buckets = [...this.#buckets.values()]
    return {
      requests: tally.requests,
      refused: { ...tally.refused },
      failed: tally.failed,
      level: Math.max(0, ...buckets.map((bucket) => bucket.level)),
      peakLevel: Math.max(0, ...buckets.map((bucket) => bucket.peak)),
      commands: Object.fromEntries(tally.commands),
      writes: tally.log.length,
      faults: { ...faults },
      ...(withLog ? { log: [...tally.log] } : {}),
    }
  }
}
