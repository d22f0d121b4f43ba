import { createHash } from 'node:crypto'
import { Bots } from './apps/bots.ts'
import { Chats } from './apps/chats.ts'
import type { EventParts } from './apps/events.ts'
import { FieldValues } from './apps/field-values.ts'
import { Installations } from './apps/installations.ts'
import type { OfflineCounts, QueueHabits } from './apps/offline-queue.ts'
import { OpenLines } from './apps/open-lines.ts'
import { PortalEvents } from './apps/portal-events.ts'
import { TextMessages } from './apps/text-messages.ts'
import type { PortalWork } from './apps/work.ts'
import { Workflows } from './apps/workflows.ts'
import { Credentials } from './credentials.ts'
import { createData, type PortalData } from './data.ts'
import { OperatingLedger, RequestBucket, type RequestLimits } from './limits.ts'
import { OWN_APPLICATION } from './oauth/applications.ts'
import type { Authority } from './oauth/authority.ts'
import { OauthTally } from './oauth/tally.ts'
import { limitsOfPlan, type Plan, type Settings } from './options.ts'
import { PortalPush } from './push/portal-push.ts'
import { type SandboxStats, Tally } from './stats.ts'
import type { Row } from './table.ts'
import { Replays } from './v3/replays.ts'

/** What can be changed in a running portal. */
export interface PortalChanges {
  /** Every call is answered with `PORTAL_DELETED`. */
  readonly stopped?: boolean
  /** REST is not part of the plan: every call is answered with `ACCESS_DENIED`. */
  readonly freePlan?: boolean
  /** Webhook secrets and client ids that are blocked with `OVERLOAD_LIMIT`; replaces the list before. */
  readonly overloaded?: readonly string[]
  /** Scopes by webhook secret or client id. A secret that is new becomes a webhook of user 1. */
  readonly scopes?: Readonly<Record<string, readonly string[]>>
  /** Access tokens that have run out. */
  readonly expired?: readonly string[]
  readonly plan?: Plan
  readonly limits?: RequestLimits | 'off'
  /** Simulated seconds by method name; those not named keep theirs. */
  readonly costs?: Readonly<Record<string, number>>
  readonly latencyMs?: number
  /** What `feature.get` tells; without `rest_offline_extended` and `rest_auth_connector` some calls are refused. */
  readonly features?: Readonly<Record<string, boolean>>
}

/** Where a portal is reached: its name at first, and how addresses are made of names. */
export interface PortalPlace {
  readonly name: string
  /** The sandbox's own address, of which portals share the protocol and the port. */
  readonly url: string
}

/** One portal: its data, its limits, who may call it and what it has seen. */
export class Portal {
  readonly data: PortalData
  readonly tally = new Tally()
  readonly ledger = new OperatingLedger()
  readonly oauthTally = new OauthTally()
  readonly credentials: Credentials
  readonly installations: Installations
  readonly workflows = new Workflows()
  readonly textMessages = new TextMessages()
  readonly chats = new Chats()
  readonly openLines = new OpenLines()
  readonly fieldValues = new FieldValues()
  /** What REST v3 has carried out under a key. */
  readonly replays = new Replays()
  readonly bots: Bots
  readonly authority: Authority
  /** Who is told of what happens here. */
  readonly events: PortalEvents
  readonly queueHabits: QueueHabits
  readonly push: PortalPush
  /** 32 hexadecimal digits that stay when the portal is renamed; the same for the same first name. */
  readonly memberId: string
  /** Host name today, with a port when that is not the sandbox's own. */
  name: string
  readonly costs: Record<string, number>
  readonly settings: Settings
  readonly #features: Record<string, boolean> = {}
  stopped = false
  freePlan = false
  plan: Plan
  limits: RequestLimits | 'off'
  latencyMs: number
  readonly #now: () => number
  readonly #buckets = new Map<string, RequestBucket>()
  readonly #sandboxUrl: string
  readonly #offline: OfflineCounts = { queued: 0, merged: 0, cleared: 0, lost: 0, aged: 0, uninstalled: 0 }
  #lastHandlerId = 0
  #lastOfflineId = 0

  constructor(settings: Settings, now: () => number, parts: EventParts, place: PortalPlace) {
    const { authority } = parts
    this.settings = settings
    this.#now = now
    this.#sandboxUrl = place.url
    this.name = place.name
    this.memberId = createHash('md5').update(`sandbox ${place.name}`).digest('hex')
    this.authority = authority
    this.events = new PortalEvents(this, parts)
    this.bots = new Bots(this, parts)
    this.queueHabits = {
      now,
      nextId: () => ++this.#lastOfflineId,
      ageing: settings.switches.offlineAgeing,
      counts: this.#offline,
    }
    this.installations = new Installations(this, authority.applications)
    this.credentials = new Credentials({
      own: this.installations.find(OWN_APPLICATION),
      authenticate: (token) => authority.authenticate(this, token),
      expire: (token) => authority.expire(token),
      find: (clientId) => this.installations.find(clientId),
    })
    this.push = new PortalPush(settings.switches, now, {
      memberId: this.memberId,
      domain: () => this.domain,
    })
    this.events.onOffline(({ installation, queued }) =>
      this.push.tellOffline(installation.application.clientId, queued),
    )
    this.data = createData(settings.counts)
    this.costs = { ...settings.costs }
    this.plan = settings.plan
    this.limits = settings.limits
    this.latencyMs = settings.latencyMs
  }

  now(): number {
    return this.#now()
  }

  /** `http://127.0.0.1:PORT`. */
  get url(): string {
    const { protocol, port } = new URL(this.#sandboxUrl)
    return `${protocol}//${/:\d+$/.test(this.name) || port === '' ? this.name : `${this.name}:${port}`}`
  }

  /** Host and port. */
  get domain(): string {
    return this.url.replace(/^https?:\/\//, '')
  }

  /** `client_endpoint`. */
  get restUrl(): string {
    return `${this.url}/rest/`
  }

  nextHandlerId(): number {
    this.#lastHandlerId += 1
    return this.#lastHandlerId
  }

  /** True when the plan has this feature; those of REST are there unless they were taken away. */
  hasFeature(code: string): boolean {
    return this.#features[code] ?? code.startsWith('rest_')
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
    Object.assign(this.#features, changes.features)
  }

  #levelOf(bucket: RequestBucket): number {
    const { limits } = this
    return limits === 'off' ? 0 : bucket.levelAt(this.now(), limits, this.settings.switches)
  }

  work(): PortalWork {
    const registered = this.installations.all().map((each) => [each.application.clientId, each.registered])
    return {
      registered: structuredClone(Object.fromEntries(registered)),
      workflows: this.workflows.list(this.now()),
      textMessages: this.textMessages.list(),
      bots: this.bots.list(),
      chats: this.chats.list(),
      lineMessages: this.openLines.list(),
      fieldValues: this.fieldValues.list(),
    }
  }

  stats(faults: Readonly<Record<string, number>>, withLog: boolean): SandboxStats {
    const { tally } = this
    const buckets = [...this.#buckets.values()]
    return {
      requests: tally.requests,
      refused: { ...tally.refused },
      failed: tally.failed,
      level: Math.max(0, ...buckets.map((bucket) => this.#levelOf(bucket))),
      peakLevel: Math.max(0, ...buckets.map((bucket) => bucket.peak)),
      commands: Object.fromEntries(tally.commands),
      writes: tally.log.length,
      faults: { ...faults },
      oauth: this.authority.stats(this),
      events: structuredClone(tally.events),
      slowHandlers: this.events.slowHandlers(),
      offline: { ...this.#offline },
      ...(withLog ? { log: [...tally.log] } : {}),
    }
  }
}
