import { setTimeout as sleep } from 'node:timers/promises'
import { StoreError } from '../../../model/errors.ts'
import { remedyFor } from '../offline/schedule.ts'
import { beginTenure, type Tenure } from '../offline/tenure.ts'
import { BotFetch, type FetchParts } from './fetch.ts'
import type { BotSource, BotStore } from './store.ts'

export interface BotFetchersOptions extends FetchParts {
  readonly store: BotStore
  /** This process; different for each. */
  readonly owner: string
  readonly random: () => number
  /** From an event to the next look. */
  readonly pollMs: number
  /** How often it is seen which bots there are; 5000. */
  readonly sourcesMs?: number
}

/** Numbers of the moment, for metrics: applications on portals whose bots this process looks at. */
export interface BotStats {
  readonly ready: number
  /** Those that it cannot look at now, or has given back for that reason. */
  readonly trouble: number
}

/** Fetches the events of bots that have no address, for all portals, together with other processes. */
export interface BotFetchers {
  /** Begins. Twice is harmless. */
  start(): void
  /** What is known of a portal has changed: bots there that were left alone for a reason are tried again soon. */
  changed(memberId: string): void
  stats(): BotStats
  /** Stops: what was published is confirmed, rights are given back. Twice is harmless. */
  close(): Promise<void>
}

/** The portal asks for this pause between pages, and for 5 to 30 seconds while nothing comes. */
const MORE_MS = 2000
const IDLE_MS = 30_000
/** Bots in trouble are given back after so long, so that another process may try. */
const PATIENCE_MS = 2 * 60_000
const STORE_MS = 5000
/** An application whose subscription no bridge knows how to meet is looked at once in a while. */
const REST_MS = 3_600_000
const PREFIX = 'bots/'

/**
 * The fetchers of one process. They hold no timer before `start`. One process has the bots of an application on a portal at
 * a time, by a lease.
 *
 * | what | the next look |
 * | --- | --- |
 * | the portal has more | after 2 seconds |
 * | events came | after `pollMs` |
 * | nothing came | after twice the last pause, up to 30 seconds or `pollMs` |
 * | trouble | as `remedyFor` says |
 */
export function createBotFetchers(options: BotFetchersOptions): BotFetchers {
  const { store, owner, now, random, pollMs, log, sourcesMs = 5000 } = options
  const stopping = new AbortController()
  const serving = new Map<string, { readonly source: BotSource; readonly end: AbortController }>()
  const underWay = new Set<Promise<void>>()
  const restUntil = new Map<string, number>()
  const troubled = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  let looking: Promise<void> = Promise.resolve()

  /** Begins with bots that nobody has, and ends with those that no subscription names any more. */
  async function assign(): Promise<void> {
    const sources = new Map((await store.sources()).map((source) => [leaseName(source), source]))
    for (const [name, { source, end }] of serving) {
      const wanted = sources.get(name)
      if (wanted === undefined || wanted.codes.join() !== source.codes.join()) end.abort()
    }
    for (const name of [...restUntil.keys(), ...troubled]) {
      if (sources.has(name)) continue
      restUntil.delete(name)
      troubled.delete(name)
    }
    const idle = [...sources].filter(
      ([name]) => !serving.has(name) && (restUntil.get(name) ?? 0) <= now() && !stopping.signal.aborted,
    )
    if (idle.length === 0) return
    const leased = await store.leased(PREFIX)
    for (const [name, source] of idle) {
      if (!leased.has(name)) begin(name, source)
      else troubled.delete(name)
    }
  }

  function begin(name: string, source: BotSource): void {
    const end = new AbortController()
    serving.set(name, { source, end })
    const { memberId, clientId } = source
    const work: Promise<void> = serve(name, source, AbortSignal.any([stopping.signal, end.signal]))
      .catch((error: unknown) => {
        const ours = !(error instanceof StoreError)
        restUntil.set(name, now() + (ours ? PATIENCE_MS : STORE_MS))
        troubled.add(name)
        if (ours) log('bots.failed', { memberId, clientId, err: error })
      })
      .finally(() => {
        serving.delete(name)
        underWay.delete(work)
      })
    underWay.add(work)
  }

  async function serve(name: string, source: BotSource, stop: AbortSignal): Promise<void> {
    const tenure = await beginTenure(store.leases, name, { owner, now })
    if (tenure === undefined) {
      // Another process is more fortunate.
      troubled.delete(name)
      return
    }
    const bots = new BotFetch(source, options, { lost: tenure.signal, stop })
    try {
      await goOn(name, source, { bots, tenure, stop })
      await bots.finish()
    } finally {
      await tenure.end()
    }
  }

  async function goOn(
    name: string,
    { memberId, clientId }: BotSource,
    { bots, tenure, stop }: { readonly bots: BotFetch; readonly tenure: Tenure; readonly stop: AbortSignal },
  ): Promise<void> {
    const either = AbortSignal.any([tenure.signal, stop])
    let idle = 0
    let tries = 0
    let troubledAt: number | undefined
    while (!either.aborted) {
      const { events, more, trouble } = await bots.look()
      if (events > 0) log('bots.fetched', { memberId, clientId, events })
      if (either.aborted) break
      if (trouble === undefined) {
        if (troubled.delete(name)) log('bots.resumed', { memberId, clientId })
        troubledAt = undefined
        tries = 0
        idle = events > 0 ? 0 : idle + 1
        await pause(more ? MORE_MS : idleMs(idle), either)
        continue
      }
      const remedy = remedyFor(trouble, ++tries)
      const restMs = remedy.kind === 'other-scheme' ? REST_MS : remedy.ms
      if (troubledAt === undefined) log('bots.trouble', { memberId, clientId, code: trouble.code, restMs })
      troubledAt ??= now()
      troubled.add(name)
      if (remedy.kind !== 'again' || now() - troubledAt > PATIENCE_MS) {
        restUntil.set(name, now() + restMs)
        return
      }
      await pause(restMs, either)
    }
    if (tenure.signal.aborted) log('bots.lease-lost', { memberId, clientId })
  }

  function idleMs(idle: number): number {
    const wait = Math.min(pollMs * 2 ** Math.min(Math.max(0, idle - 1), 20), Math.max(pollMs, IDLE_MS))
    return Math.round(wait * (0.9 + 0.2 * random()))
  }

  return {
    start() {
      if (timer !== undefined || stopping.signal.aborted) return
      let busy = false
      const look = (): void => {
        if (busy) return
        busy = true
        looking = assign()
          .catch((error: unknown) => {
            if (!(error instanceof StoreError)) log('bots.failed', { err: error })
          })
          .finally(() => {
            busy = false
          })
      }
      timer = setInterval(look, sourcesMs).unref()
      look()
    },
    changed(memberId) {
      for (const name of restUntil.keys())
        if (name.startsWith(`${PREFIX}${memberId}/`)) restUntil.delete(name)
    },
    stats() {
      const ready = [...serving.keys()].filter((name) => !troubled.has(name)).length
      return { ready, trouble: troubled.size }
    },
    async close() {
      stopping.abort()
      clearInterval(timer)
      await looking
      await Promise.all(underWay)
    },
  }
}

function leaseName({ memberId, clientId }: BotSource): string {
  return `${PREFIX}${memberId}/${clientId}`
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined)
}
