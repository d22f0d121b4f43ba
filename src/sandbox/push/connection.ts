import type { Format } from './framing.ts'
import type { PushMessage } from './history.ts'
import { type Refusal, type Subscription, TOO_MANY_CONNECTIONS } from './subscription.ts'

/** What a connection was made with. */
export interface ConnectionCard {
  readonly transport: 'websocket' | 'polling'
  /** Ids without signatures, public ones included. */
  readonly channels: readonly string[]
  readonly format: Format
  /** As the client gave it. */
  readonly mid?: string
}

/** Somebody who listens. */
export interface Connection {
  readonly card: ConnectionCard
  /** True when it looks alive to the client but nothing comes any more. */
  readonly silent: boolean
  /** The last `mid` that the client has confirmed, where it does that. */
  readonly confirmed?: string | undefined
  deliver(messages: readonly PushMessage[]): void
  /** Ends it with a reason. */
  end(refusal: Refusal): void
  /** Ends it without a word. */
  drop(): void
  /** From now on neither messages nor pings nor the end of the connection reach the client. */
  silence(): void
}

/** What a client asked for, in the form that is shown to tests. */
export function cardOf(transport: ConnectionCard['transport'], wanted: Subscription): ConnectionCard {
  const { channels, format, mid } = wanted
  return { transport, channels, format, ...(mid === undefined ? {} : { mid }) }
}

/** The connections of one portal. */
export class Connections {
  readonly #limit: number
  readonly #open = new Set<Connection>()

  /** `limit` connections a channel; one more ends the oldest. */
  constructor(limit: number) {
    this.#limit = limit
  }

  add(connection: Connection): void {
    for (const channel of connection.card.channels) {
      const others = this.on([channel])
      for (const oldest of others.slice(0, Math.max(0, others.length + 1 - this.#limit))) {
        this.#open.delete(oldest)
        oldest.end(TOO_MANY_CONNECTIONS)
      }
    }
    this.#open.add(connection)
  }

  remove(connection: Connection): void {
    this.#open.delete(connection)
  }

  /** Those that listen to any of the channels, oldest first; silent ones do not. */
  on(channels: readonly string[]): Connection[] {
    return [...this.#open].filter(
      ({ silent, card }) => !silent && channels.some((channel) => card.channels.includes(channel)),
    )
  }

  all(): Connection[] {
    return [...this.#open]
  }

  /** Ends those that are open now, as `end` does it to one. */
  endAll(end: (connection: Connection) => void): void {
    const open = this.all()
    this.#open.clear()
    for (const connection of open) end(connection)
  }
}
