import type { PushMode } from '../../../client/push/core.ts'
import type { PushKey } from './event.ts'
import { Listener, type ListenerParts } from './listener.ts'
import type { PushInstallation, PushStore } from './store.ts'

export interface PushSupervisorOptions extends ListenerParts {
  readonly store: PushStore
  /** This process; different for each. */
  readonly owner: string
  /** How long a lease is held without being renewed; 30,000. */
  readonly leaseMs?: number
  /** How often installations and leases are looked at; 10,000. */
  readonly scanMs?: number
}

/** Connections by what they do. */
export type PushStates = Readonly<Record<'open' | 'polling' | 'connecting' | 'held' | 'halted', number>>

/** Listens for every application that may, where no other process does. */
export interface PushSupervisor {
  /** Begins to look for installations, and goes on until `close`. Twice is harmless. */
  start(): void
  /** What is stored of a portal has changed: looks at once, where it was started. */
  look(): void
  states(): PushStates
  /** Ends all connections, keeps how far each came, and gives the leases back. Twice is harmless. */
  close(): Promise<void>
}

const PREFIX = 'push/'
/** Positions are written together, at most so often. */
const KEEP_MS = 1000
/** A position that does not move is written now and then all the same: it says when something was last heard. */
const STILL_MS = 3_600_000
/** What was heard has so long to reach the broker at the end. */
const FINISH_MS = 3000
/** Leases that are taken side by side. */
const AT_ONCE = 8

/** Does no I/O before `start`. */
export function createPushSupervisor(options: PushSupervisorOptions): PushSupervisor {
  const { store, owner, now, log, leaseMs = 30_000, scanMs = 10_000 } = options
  const listeners = new Map<string, Listener>()
  const versions = new Map<string, number>()
  const keptAt = new Map<string, number>()
  let holdUntil = 0
  let scanning: Promise<void> | undefined
  let keeping: Promise<void> | undefined
  let timers: NodeJS.Timeout[] = []
  let closed = false

  /** One look: who may listen, which leases are ours, who is new, who is gone. */
  async function scan(): Promise<void> {
    try {
      const wanted = new Map((await store.installations()).map((one) => [nameOf(one), one]))
      const leased = await store.leased(PREFIX)
      for (const [name, listener] of listeners)
        if (leased.get(name) !== owner) drop(name, listener, 'push.lease-lost')
      for (const [name, listener] of listeners) if (!wanted.has(name)) await leave(name, listener)
      const free = [...wanted].filter(
        ([name]) => !listeners.has(name) && (leased.get(name) ?? owner) === owner,
      )
      for (let from = 0; from < free.length && !closed; from += AT_ONCE)
        await Promise.all(free.slice(from, from + AT_ONCE).map(([name, one]) => enter(name, one)))
      for (const [name, one] of wanted) greet(name, one)
    } catch (error) {
      log('push.unscanned', { err: error })
    }
  }

  async function renew(): Promise<void> {
    const asked = now()
    await store.renew(PREFIX, owner, leaseMs)
    holdUntil = asked + leaseMs
  }

  /** Without the store nobody knows whether we still hold the leases: another one may listen already. */
  function watch(): void {
    if (now() >= holdUntil) for (const [name, listener] of listeners) drop(name, listener, 'push.lease-lost')
  }

  async function enter(name: string, { memberId, clientId }: PushInstallation): Promise<void> {
    if (closed || !(await store.lease(name, owner, leaseMs))) return
    const cursor = await store.cursor(name)
    if (closed) return void (await store.release(name, owner))
    keptAt.set(name, now())
    listeners.set(name, new Listener({ memberId, clientId }, options, cursor))
  }

  /** One that was halted may go on now that the application was installed anew. */
  function greet(name: string, { updatedAt }: PushInstallation): void {
    if ((versions.get(name) ?? updatedAt) < updatedAt) listeners.get(name)?.retry()
    versions.set(name, updatedAt)
  }

  async function leave(name: string, listener: Listener): Promise<void> {
    drop(name, listener, 'push.left')
    await store.release(name, owner)
  }

  function drop(name: string, listener: Listener, event: string): void {
    listener.close()
    listeners.delete(name)
    versions.delete(name)
    keptAt.delete(name)
    log(event, { member: listener.key.memberId, application: listener.key.clientId })
  }

  /** Keeps how far the listeners came. What cannot be kept now is kept with the next. */
  async function keep(): Promise<void> {
    const moment = now()
    for (const [name, { position, mode }] of listeners) {
      const still = (mode === 'open' || mode === 'polling') && moment - (keptAt.get(name) ?? 0) >= STILL_MS
      const value = position.unsaved() ?? (still ? position.current() : undefined)
      if (value === undefined) continue
      await store.saveCursor(name, { value, updatedAt: moment })
      position.kept(value)
      keptAt.set(name, moment)
    }
  }

  const look = (): void => {
    if (closed || timers.length === 0) return
    scanning ??= scan().finally(() => {
      scanning = undefined
    })
  }
  const renewSoon = (): void => void renew().catch((error) => log('push.unrenewed', { err: error }))
  const keepSoon = (): void => {
    watch()
    keeping ??= keep()
      .catch((error) => log('push.unkept', { err: error }))
      .finally(() => {
        keeping = undefined
      })
  }

  return {
    look,
    start() {
      if (timers.length > 0 || closed) return
      holdUntil = now() + leaseMs
      timers = [
        setInterval(look, scanMs),
        setInterval(renewSoon, leaseMs / 3),
        setInterval(keepSoon, KEEP_MS),
      ]
      look()
    },
    states() {
      const states = { open: 0, polling: 0, connecting: 0, held: 0, halted: 0 }
      for (const { mode } of listeners.values()) states[STATE_OF[mode] ?? 'connecting']++
      return states
    },
    async close() {
      if (closed) return
      closed = true
      timers.forEach(clearInterval)
      await scanning
      await keeping
      await Promise.all([...listeners.values()].map((listener) => listener.finish(FINISH_MS)))
      await keep().catch((error) => log('push.unkept', { err: error }))
      for (const name of listeners.keys()) await store.release(name, owner).catch(() => undefined)
      listeners.clear()
    },
  }
}

const STATE_OF: Partial<Record<PushMode, keyof PushStates>> = {
  open: 'open',
  polling: 'polling',
  held: 'held',
  halted: 'halted',
}

function nameOf({ memberId, clientId }: PushKey): string {
  return `${PREFIX}${memberId}/${clientId}`
}
