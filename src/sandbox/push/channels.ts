import { randomBytes } from 'node:crypto'

/** A channel lives 12 hours and 5 seconds. */
const CHANNEL_MS = 43_205_000

/** A place where messages of one application arrive. */
export interface Channel {
  /** 32 hexadecimal digits, without the signature. */
  readonly id: string
  /** Only the channel of a user has one. */
  readonly publicId: string | undefined
  readonly clientId: string
  /** 0: shared by all users of the application. */
  readonly userId: number
  readonly startMs: number
  readonly endMs: number
}

/** The channels of the applications on a portal: one for each user, and one shared by all. */
export class Channels {
  readonly #now: () => number
  readonly #replaced: (old: Channel, next: Channel) => void
  readonly #known = new Map<string, Channel>()

  /** `replaced` is told when the successor of an ended channel is made. */
  constructor(now: () => number, replaced: (old: Channel, next: Channel) => void) {
    this.#now = now
    this.#replaced = replaced
  }

  /** The channel of today, made when first asked for; an ended one gets a successor. */
  of(clientId: string, userId: number): Channel {
    const known = this.#known.get(keyOf(clientId, userId))
    if (known !== undefined && this.#now() < known.endMs) return known
    const next = this.#open(clientId, userId)
    if (known !== undefined) this.#replaced(known, next)
    return next
  }

  /** Ends a channel before its time. Both are given back; `undefined` when there was none. */
  replace(clientId: string, userId: number): { readonly old: Channel; readonly next: Channel } | undefined {
    const old = this.#known.get(keyOf(clientId, userId))
    return old === undefined ? undefined : { old, next: this.#open(clientId, userId) }
  }

  /** Ids of all channels of today. */
  ids(): string[] {
    return [...this.#known.values()].map(({ id }) => id)
  }

  #open(clientId: string, userId: number): Channel {
    const startMs = this.#now()
    const channel = {
      id: newId(),
      publicId: userId === 0 ? undefined : newId(),
      clientId,
      userId,
      startMs,
      endMs: startMs + CHANNEL_MS,
    }
    this.#known.set(keyOf(clientId, userId), channel)
    return channel
  }
}

function keyOf(clientId: string, userId: number): string {
  return `${userId} ${clientId}`
}

function newId(): string {
  return randomBytes(16).toString('hex')
}
