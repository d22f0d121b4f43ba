import type { JsonObject } from '../../model/json.ts'
import { readFrame } from './frame.ts'
import type { PushMessage } from './message.ts'
import { advance, type Position } from './position.ts'
import { Seen } from './seen.ts'

/** What a frame brought that is new. */
export interface Received {
  readonly messages: readonly PushMessage[]
  /** Texts to send back. */
  readonly answers: readonly string[]
  readonly faults: readonly JsonObject[]
}

/** The clock of a server may differ from ours by so much. */
const SKEW_MS = 5 * 60_000

/** What has been received on a connection, and how far. */
export class Inbox {
  readonly #seen = new Seen()
  #position: Position | undefined
  #acknowledging = false

  constructor(position: Position | undefined) {
    this.#position = position
  }

  /** Behind the last message that came; `undefined` before `begin`. */
  get position(): Position | undefined {
    return this.#position
  }

  /** From now on everything is wanted. Gives the position when there was none. */
  begin(now: number): Position | undefined {
    if (this.#position !== undefined) return undefined
    this.#position = { since: now }
    return this.#position
  }

  /** The server says that nothing up to this message is left to be sent. */
  passed(mid: string): void {
    if (/^\d{26}$/.test(mid) && !/^0+$/.test(mid)) {
      this.#position = advance(this.#position, { mid, moduleId: '', command: '', params: null })
    }
  }

  /** The messages of a frame that did not come before, in order. */
  read(data: string | Buffer): Received {
    const frame = readFrame(data)
    this.#acknowledging ||= frame.acknowledge
    const messages: PushMessage[] = []
    const before = this.#position
    for (const message of frame.messages) {
      if (!this.#seen.add(message.mid)) continue
      this.#position = advance(this.#position, message)
      if (isForUs(message, before)) messages.push(message)
    }
    const faults = frame.faults.map((fault) => ({ fault, bytes: data.length }))
    return { messages, answers: frame.answers, faults }
  }

  /** What to send when these messages are where they belong: nothing, except to servers that want to know. */
  acknowledge(messages: readonly PushMessage[]): string[] {
    if (!this.#acknowledging) return []
    return messages.flatMap(({ mid }) => (mid === undefined ? [] : `mack:${mid}`))
  }
}

/** Behind `since`, the whole history was asked for: what was said before we first listened is not for us. */
function isForUs({ sentAt }: PushMessage, position: Position | undefined): boolean {
  if (position === undefined || !('since' in position) || sentAt === undefined) return true
  return sentAt >= position.since - SKEW_MS
}
