import { type EventHabits, USUAL_EVENTS } from './apps/habits.ts'
import type { DataCounts } from './data.ts'
import type { BucketHabits, RequestLimits } from './limits.ts'
import type { ApplicationOptions } from './oauth/applications.ts'
import { type OauthHabits, USUAL_OAUTH } from './oauth/habits.ts'
import { type PushHabits, USUAL_PUSH } from './push/habits.ts'
import type { TimeHabits } from './time.ts'

/** The points that the documentation leaves open, or on which its readers differ; each has the likelier default. */
export interface Switches extends BucketHabits, TimeHabits, EventHabits, OauthHabits, PushHabits {
  /** HTTP status by error code, in place of the usual one: `{ INVALID_CREDENTIALS: 403 }`. */
  readonly statuses: Readonly<Record<string, number>>
  /** An unknown method is 404 before the credentials are looked at (true), or only after (false). */
  readonly methodBeforeAuth: boolean
  /** `total` of a list asked for with `start: -1`: by the method's family, or the same for all. */
  readonly totalUncounted: 'family' | 'zero' | 'absent'
  /** Plain HTTP is refused with `INVALID_REQUEST`. */
  readonly strictHttps: boolean
  /** False: the limiter of operating time is off and its two fields are missing, as on premise. */
  readonly operating: boolean
  readonly operatingLimitSeconds: number
  /** What a token that nobody gave out is answered with. */
  readonly unknownToken: 'invalid_token' | 'NO_AUTH_FOUND'
  /** `app.info` through a webhook: scope and licence, or `ACCESS_DENIED` as the documentation has it. */
  readonly webhookAppInfo: 'licence' | 'denied'
  /** Every `error_description` is empty. */
  readonly emptyDescriptions: boolean
  /** Simulated costs are waited for as well; otherwise they only appear in `time` and in the sums. */
  readonly costsTakeTime: boolean
}

const USUAL: Switches = {
  ...USUAL_OAUTH,
  ...USUAL_EVENTS,
  ...USUAL_PUSH,
  statuses: {},
  methodBeforeAuth: true,
  totalUncounted: 'family',
  strictHttps: false,
  drain: 'tick',
  refusalsCount: false,
  operating: true,
  operatingLimitSeconds: 480,
  unknownToken: 'invalid_token',
  webhookAppInfo: 'licence',
  integerStart: false,
  zeroProcessing: false,
  emptyDescriptions: false,
  costsTakeTime: false,
}

export type Plan = 'standard' | 'enterprise' | 'self-hosted'

/** What `createSandbox` may be told. Everything has a default. */
export interface SandboxOptions extends Partial<DataCounts> {
  /** 0 takes any free port. */
  readonly port?: number
  /**
   * Address to listen on. The host name of a request chooses the portal: on `0.0.0.0`, `http://127.0.0.2:PORT` is
   * another portal than `http://127.0.0.1:PORT`, with its own data, limits and statistics.
   */
  readonly host?: string
  /** Chooses the request limits: 50 and 2, 250 and 5, or none (self-hosted, which has no operating limiter either). */
  readonly plan?: Plan
  /** Request limits in place of the plan's. */
  readonly limits?: RequestLimits | 'off'
  /** Simulated seconds by method name, for the operating limiter and the cut. */
  readonly costs?: Readonly<Record<string, number>>
  /** Added to each request. */
  readonly latencyMs?: number
  /** A request that takes longer is cut off with 504 and an HTML body. */
  readonly cutMs?: number
  /** Serves https with a certificate made at start; see `Sandbox.certificate`. */
  readonly tls?: boolean
  /** Applications that the authorization server knows from the start; more with `addApplication`. */
  readonly applications?: readonly ApplicationOptions[]
  /**
   * Puts the authorization server on a port of its own, as the real one has its own host; 0 takes any free port.
   * Without it `/oauth/token/` is answered at the portals' port.
   */
  readonly oauthPort?: number
  /** The clock, in milliseconds. */
  readonly now?: () => number
  readonly switches?: Partial<Switches>
}

/** Options with every default filled in. */
export interface Settings {
  readonly port: number
  readonly host: string
  readonly plan: Plan
  readonly limits: RequestLimits | 'off'
  readonly costs: Readonly<Record<string, number>>
  readonly latencyMs: number
  readonly cutMs: number
  readonly tls: boolean
  readonly applications: readonly ApplicationOptions[]
  readonly oauthPort: number | undefined
  readonly counts: DataCounts
  readonly switches: Switches
}

/** The request limits of a plan. https://apidocs.bitrix24.com/limits.html */
export function limitsOfPlan(plan: Plan): RequestLimits | 'off' {
  if (plan === 'self-hosted') return 'off'
  return plan === 'enterprise' ? { capacity: 250, drainPerSecond: 5 } : { capacity: 50, drainPerSecond: 2 }
}

/** `LICENSE_FAMILY` of a plan. */
export function licenceFamily(plan: Plan): string {
  return plan === 'enterprise' ? 'ent' : plan === 'standard' ? 'std' : 'selfhosted'
}

/** Fills in the defaults. */
export function settingsFrom(options: SandboxOptions): Settings {
  const plan = options.plan ?? 'standard'
  return {
    port: options.port ?? 0,
    host: options.host ?? '127.0.0.1',
    plan,
    limits: options.limits ?? limitsOfPlan(plan),
    costs: options.costs ?? {},
    latencyMs: options.latencyMs ?? 0,
    cutMs: options.cutMs ?? 60_000,
    tls: options.tls ?? false,
    applications: options.applications ?? [],
    oauthPort: options.oauthPort,
    counts: {
      deals: options.deals ?? 120,
      leads: options.leads ?? 60,
      contacts: options.contacts ?? 100,
      companies: options.companies ?? 40,
      products: options.products ?? 30,
      tasks: options.tasks ?? 75,
      users: options.users ?? 12,
    },
    switches: { ...USUAL, operating: plan !== 'self-hosted', ...options.switches },
  }
}
