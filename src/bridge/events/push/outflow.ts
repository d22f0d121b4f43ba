import { offlineCount, purposeOf } from '../../../client/push/control.ts'
import type { PushMessage } from '../../../client/push/message.ts'
import { advance, encodePosition, type Position } from '../../../client/push/position.ts'
import { BridgeError } from '../../../model/errors.ts'
import type { EventOutlet } from '../outlet.ts'
import { eventOfMessage, type PushKey } from './event.ts'

/** What becomes of a message. */
export type PushFate = 'published' | 'offline' | 'control' | 'refused'

export interface OutflowOptions {
  readonly key: PushKey
  /** Host name of the portal, as it is known now. */
  readonly domain: () => string
  readonly outlet: Pick<EventOutlet, 'publish'>
  readonly position: Position | undefined
  readonly now: () => number
  /** The portal says that so many offline events wait. */
  readonly onOffline: (count: number) => void
  /** The broker has the message, or it needs none. */
  readonly onHandled: (message: PushMessage, fate: PushFate) => void
  /** More waits than should: `true` stops the inflow, `false` lets it go on. */
  readonly onBehind: (behind: boolean) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Messages that wait for the broker at most, but for those of the last frame. */
const MOST_WAITING = 200
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 15_000
/** Codes of a broker that will never take this message, however often it is offered. */
const NEVER = new Set(['MESSAGE_TOO_LARGE', 'MESSAGE_INVALID'])

/** Messages that are offered before the first of them is confirmed. */
const WINDOW = 50

/**
 * The messages of one connection on their way to the broker: offered in order, fifty at a time, and again for as long as
 * the broker is away. One that was refused among others which were taken comes after those. The position passes a
 * message when nothing more is to be done for it and for all before it.
 */
export class Outflow {
  readonly #options: OutflowOptions
  readonly #waiting: PushMessage[] = []
  readonly #stop = new AbortController()
  #position: Position | undefined
  #saved: string | undefined
  #running: Promise<void> | undefined
  #behind = false
  /** Code of the last refusal. */
  #trouble = ''

  constructor(options: OutflowOptions) {
    this.#options = options
    this.#position = options.position
    this.#saved = options.position && encodePosition(options.position)
  }

  /** Begins at a position where there was none. */
  begin(position: Position): void {
    this.#position ??= position
  }

  push(messages: readonly PushMessage[]): void {
    if (messages.length === 0) return
    this.#waiting.push(...messages)
    if (this.#waiting.length > MOST_WAITING && !this.#behind) {
      this.#behind = true
      this.#options.onBehind(true)
    }
    this.#running ??= this.#run()
  }

  /** The position to keep, when it is not the one kept last; say `kept` when that is done. */
  unsaved(): string | undefined {
    const text = this.#position && encodePosition(this.#position)
    return text === this.#saved ? undefined : text
  }

  /** The position behind everything that is done with; `undefined` before the first. */
  current(): string | undefined {
    return this.#position && encodePosition(this.#position)
  }

  kept(text: string): void {
    this.#saved = text
  }

  /** True when everything has ended within this time. */
  async idle(withinMs: number): Promise<boolean> {
    if (!this.#running) return true
    const patience = new AbortController()
    const late = sleepUnless(patience.signal, withinMs).then(() => false)
    const done = await Promise.race([this.#running.then(() => true), late])
    patience.abort()
    return done
  }

  /** Offers nothing more. What waits stays in the server's history. */
  close(): void {
    this.#stop.abort()
    this.#waiting.length = 0
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      await this.#settle(this.#waiting.slice(0, WINDOW))
      if (this.#stop.signal.aborted) break
      if (this.#behind && this.#waiting.length === 0) {
        this.#behind = false
        this.#options.onBehind(false)
      }
    }
    this.#running = undefined
  }

  /** Offers these messages until each has its fate, or it is closed. */
  async #settle(window: readonly PushMessage[]): Promise<void> {
    const fates: (PushFate | undefined)[] = []
    let passed = 0
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, 2 * pauseMs)) {
      await Promise.all(
        window.map(async (message, i) => {
          fates[i] ??= await this.#handle(message)
        }),
      )
      for (; passed < window.length && fates[passed] !== undefined; passed++)
        this.#pass(window[passed] as PushMessage, fates[passed] as PushFate)
      if (passed === window.length || this.#stop.signal.aborted) return
      if (pauseMs === FIRST_PAUSE_MS) this.#options.log('push.unpublished', { code: this.#trouble, pauseMs })
      await sleepUnless(this.#stop.signal, pauseMs)
    }
  }

  #pass(message: PushMessage, fate: PushFate): void {
    if (this.#waiting[0] === message) this.#waiting.shift()
    this.#position = advance(this.#position, message)
    this.#options.onHandled(message, fate)
  }

  /** `undefined` when the broker does not have the message, or was not offered it any more. */
  async #handle(message: PushMessage): Promise<PushFate | undefined> {
    if (this.#stop.signal.aborted) return undefined
    const purpose = purposeOf(message)
    if (purpose === 'offline') {
      this.#options.onOffline(offlineCount(message))
      return 'offline'
    }
    return purpose === 'application' ? this.#publish(message) : 'control'
  }

  async #publish(message: PushMessage): Promise<PushFate | undefined> {
    const { key, domain, outlet, now, log } = this.#options
    try {
      await outlet.publish(eventOfMessage(message, { ...key, domain: domain() }, now()))
      return 'published'
    } catch (error) {
      // What is no trouble of the broker is one of the message, and comes again with it.
      this.#trouble = error instanceof BridgeError ? error.code : 'MESSAGE_INVALID'
      if (!NEVER.has(this.#trouble)) return undefined
      log('push.refused', { code: this.#trouble, event: message.command.slice(0, 200), mid: message.mid })
      return 'refused'
    }
  }
}

function sleepUnless(signal: AbortSignal, ms: number): Promise<void> {
  return new Promise((resolve) => {
    const end = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    signal.addEventListener('abort', end)
    if (signal.aborted) end()
  })
}
