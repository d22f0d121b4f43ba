import type { FormValue } from '../form.ts'
import type { Installation } from './installations.ts'
import type { PortalEvents } from './portal-events.ts'
import type { Delivery } from './sender.ts'

/** Who is behind a change. */
export interface Cause {
  /** Missing for a robot or the portal itself: no tokens are sent. */
  readonly userId?: number
  /** The application that called. */
  readonly installation?: Installation | undefined
  /** How many rounds of event and call the caller's token still allows; ordinary tokens know no end. */
  readonly rounds?: number | undefined
}

/** Something that happened during a hit. */
export interface Note {
  /** In upper case. */
  readonly event: string
  readonly data: { readonly [name: string]: FormValue }
  /** `auth_connector` of the call. */
  readonly connector: string
  /** Told to this application only. */
  readonly only?: Installation | undefined
}

/**
 * One request to a portal, or one act of a person: handlers are told of its events when it is over. Equal events of one
 * hit are told once. Costs nothing for events that nobody has bound.
 */
export class Hit {
  readonly cause: Cause
  readonly #events: PortalEvents
  #notes: Map<string, Note> | undefined

  constructor(events: PortalEvents, cause: Cause) {
    this.#events = events
    this.cause = cause
  }

  note(
    event: string,
    data: Note['data'],
    { connector = '', only }: { readonly connector?: string; readonly only?: Installation } = {},
  ): void {
    if (!this.#events.isAwaited(event)) return
    this.#notes ??= new Map()
    const key = `${event} ${only?.application.clientId ?? ''} ${connector} ${JSON.stringify(data)}`
    if (!this.#notes.has(key)) this.#notes.set(key, { event, data, connector, only })
  }

  /** Tells the handlers. Resolves when the last of them has answered or will not; a second call tells nobody. */
  end(): Promise<Delivery[]> {
    if (this.#notes === undefined) return Promise.resolve([])
    const notes = [...this.#notes.values()]
    this.#notes = undefined
    return this.#events.tell(this.cause, notes)
  }
}
