import type { JsonObject } from '../../model/json.ts'

/** Longer than this no message is kept. */
const KEPT_SECONDS = 86_400

/** A message as the push server keeps it. */
export interface PushMessage {
  /** 26 digits: the second in which the store was made, and a counter; later messages have greater ones. */
  readonly mid: string
  readonly createdMs: number
  /** Seconds that it may be kept; 0 is for those who listen now. */
  readonly expiry: number
  /** `module_id`, `command`, `params` and `extra`. */
  readonly text: JsonObject
}

/** The messages of the last day by channel. */
export class History {
  readonly #startSecond: string
  readonly #byChannel = new Map<string, PushMessage[]>()
  #count = 0

  constructor(nowMs: number) {
    this.#startSecond = String(Math.floor(nowMs / 1000)).padStart(10, '0')
  }

  /** Gives a message its id and keeps it for `expiry` seconds, a day at most. */
  add(channels: readonly string[], text: JsonObject, expiry: number, nowMs: number): PushMessage {
    this.#count += 1
    const mid = `${this.#startSecond}${String(this.#count).padStart(16, '0')}`
    const message = { mid, createdMs: nowMs, expiry: Math.min(expiry, KEPT_SECONDS), text }
    if (message.expiry <= 0) return message
    for (const channel of channels) {
      const kept = this.#byChannel.get(channel)
      if (kept === undefined) this.#byChannel.set(channel, [message])
      else kept.push(message)
    }
    return message
  }

  /** What is kept for these channels and younger than `mid`, oldest first, each message once. */
  after(mid: string, channels: readonly string[], nowMs: number): PushMessage[] {
    const found = new Map<string, PushMessage>()
    for (const channel of channels) {
      for (const message of this.#alive(channel, nowMs))
        if (message.mid > mid) found.set(message.mid, message)
    }
    return [...found.values()].sort((a, b) => (a.mid < b.mid ? -1 : 1))
  }

  /** The id of the youngest message kept for these channels; empty when there is none. */
  newest(channels: readonly string[], nowMs: number): string {
    return this.after('', channels, nowMs).at(-1)?.mid ?? ''
  }

  #alive(channel: string, nowMs: number): PushMessage[] {
    const kept = this.#byChannel.get(channel)
    if (kept === undefined) return []
    const alive = kept.filter(({ createdMs, expiry }) => nowMs < createdMs + expiry * 1000)
    this.#byChannel.set(channel, alive)
    return alive
  }
}
