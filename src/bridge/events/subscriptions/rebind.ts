import { BridgeError } from '../../../model/errors.ts'
import { type ApplyParts, type ApplyRequest, applyToPortal, type PortalReport } from './apply.ts'
import { readDocument, type SubscriptionDocument } from './document.ts'
import { applicationOf, applyToAll, isMeant } from './many.ts'
import { ALL_PORTALS } from './store.ts'

/** Keeps what portals have bound as it was applied last. */
export interface Rebinder {
  /** Applies the file of the settings to all its portals, in the background. Without one it does nothing. */
  start(): void
  /**
   * What is stored of a portal has changed: an application was installed or updated, and its handlers may have vanished.
   * What was applied last is applied again; what fails is tried again, ever later. Never throws.
   */
  changed(memberId: string): void
  /** Begins nothing new and waits two seconds for what is under way. Twice is harmless. */
  close(): Promise<void>
}

export interface RebinderOptions extends ApplyParts {
  /** The file of the settings. */
  readonly document?: SubscriptionDocument
  /** Public address of the settings; what is remembered of a portal counts without one. */
  readonly base?: string
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
  /** Milliseconds before each further try. */
  readonly waitsMs?: readonly number[]
}

const GRACE_MS = 2000
const WAITS_MS = [5000, 60_000, 600_000]

/** One at a time for each portal, however often it is told. */
export function createRebinder(options: RebinderOptions): Rebinder {
  const { store, log, sleep, waitsMs = WAITS_MS } = options
  const running = new Map<string, { again: boolean; done: Promise<void> }>()
  const stop = new AbortController()
  let starting: Promise<void> | undefined

  /** Of the file of the settings, of what the portal had last and of what all had last: the first, or the newest. */
  async function requestFor(memberId: string, clientId: string): Promise<ApplyRequest | undefined> {
    const portal = await store.findPortal(memberId)
    if (portal === undefined) return undefined
    const { document } = options
    if (document !== undefined && isMeant(document, portal)) {
      const meant = await applicationOf(store, document).catch(() => undefined)
      const base = document.base ?? options.base
      if (meant === clientId && base !== undefined) return { document, clientId, base, dryRun: false }
    }
    const rows = [await store.findApplied(memberId, clientId), await store.findApplied(ALL_PORTALS, clientId)]
    const newest = rows
      .filter((row) => row !== undefined)
      .sort((one, other) => other.appliedAt - one.appliedAt)[0]
    if (newest === undefined) return undefined
    const read = readDocument(JSON.parse(newest.document))
    if (!('document' in read)) return undefined
    const base = read.document.base ?? options.base ?? newest.base
    return { document: read.document, clientId, base, dryRun: false }
  }

  /** True when all that should be there is there. */
  async function bindAgain(memberId: string): Promise<boolean> {
    const portal = await store.findPortal(memberId)
    if (portal === undefined) return true
    const tokens = await store.listTokens(memberId)
    let good = true
    for (const { clientId } of await store.listInstallations(memberId)) {
      if (!tokens.some((one) => one.clientId === clientId && one.state === 'active')) continue
      const request = await requestFor(memberId, clientId)
      if (request === undefined) continue
      const report = await applyToPortal(options, portal, request)
      logReport(log, report)
      if (report.error !== undefined || report.actions.some(({ outcome }) => outcome === 'failed'))
        good = false
    }
    return good
  }

  async function run(memberId: string, state: { again: boolean }): Promise<void> {
    for (let tries = 0; !stop.signal.aborted; ) {
      state.again = false
      const good = await bindAgain(memberId).catch((error: unknown) => {
        log('subscriptions.failed', { memberId, code: codeOf(error) })
        return false
      })
      if (state.again) {
        tries = 0
        continue
      }
      const wait = waitsMs[tries]
      if (good || wait === undefined) break
      tries += 1
      await Promise.race([sleep(wait), aborted(stop.signal)])
    }
    running.delete(memberId)
  }

  async function applyFile(document: SubscriptionDocument, base: string): Promise<void> {
    try {
      const clientId = await applicationOf(store, document)
      const request = { document, clientId, base, dryRun: false }
      await applyToAll(options, request, (report) => logReport(log, report), stop.signal)
    } catch (error) {
      const reason = error instanceof BridgeError ? error.message : String(error)
      log('subscriptions.failed', { code: codeOf(error), reason })
    }
  }

  return {
    start() {
      const { document } = options
      const base = document?.base ?? options.base
      if (document !== undefined && base !== undefined) starting ??= applyFile(document, base)
    },
    changed(memberId) {
      if (stop.signal.aborted) return
      const known = running.get(memberId)
      if (known !== undefined) {
        known.again = true
        return
      }
      const state = { again: false, done: Promise.resolve() }
      running.set(memberId, state)
      state.done = run(memberId, state)
    },
    async close() {
      stop.abort()
      const all = Promise.all([starting, ...[...running.values()].map(({ done }) => done)])
      await Promise.race([all, sleep(GRACE_MS)])
    },
  }
}

function logReport(log: RebinderOptions['log'], report: PortalReport): void {
  const { memberId, domain, actions, error, skipped } = report
  if (skipped !== undefined) return
  if (error !== undefined) {
    log('subscriptions.failed', { memberId, domain, code: error.code, reason: error.message })
    return
  }
  for (const { kind, label, error: failed } of actions)
    if (failed !== undefined)
      log('subscriptions.failed', {
        memberId,
        domain,
        kind,
        label,
        code: failed.code,
        reason: failed.message,
      })
  const done = (act: string): number =>
    actions.filter((one) => one.act === act && one.outcome === 'done').length
  const counts = { bound: done('bind'), changed: done('change'), unbound: done('unbind') }
  if (counts.bound + counts.changed + counts.unbound > 0)
    log('subscriptions.applied', { memberId, domain, ...counts })
}

function codeOf(error: unknown): string {
  return error instanceof BridgeError ? error.code : 'INTERNAL_ERROR'
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}
