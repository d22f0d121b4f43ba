import type { Json } from '../../model/json.ts'
import type { Portal } from '../portal.ts'
import { type EventParts, ROUNDS, raise, tellWebhook } from './events.ts'
import { type Cause, Hit, type Note } from './hit.ts'
import type { Installation } from './installations.ts'
import { type OutgoingWebhook, type OutgoingWebhookOptions, outgoingWebhook } from './outgoing-webhooks.ts'
import type { Delivery } from './sender.ts'

/** What a hit put into an application's queue: events by connector, repeats included. */
export interface OfflineNews {
  readonly installation: Installation
  readonly queued: readonly { readonly connectorId: string; readonly count: number }[]
}

/**
 * Who is told of what happens on a portal: handlers of applications, outgoing webhooks, offline queues.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export class PortalEvents {
  readonly #portal: Portal
  readonly #parts: EventParts
  readonly #listeners = new Set<(news: OfflineNews) => void>()
  readonly #nudgedAtMs = new Map<number, number>()
  #webhooks: readonly OutgoingWebhook[] = []

  constructor(portal: Portal, parts: EventParts) {
    this.#portal = portal
    this.#parts = parts
  }

  /** Opens a hit; `Hit.end` closes it. */
  hit(cause: Cause): Hit {
    return new Hit(this, cause)
  }

  /**
   * Hands every later hit's offline events to `listener`, once per application and hit, at the hit's end and whether or
   * not `ONOFFLINEEVENT` is bound: what the push command `event_offline` carries. The answer ends it.
   */
  onOffline(listener: (news: OfflineNews) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  addWebhook(options: OutgoingWebhookOptions): OutgoingWebhook {
    const webhook = outgoingWebhook(this.#portal.nextHandlerId(), options)
    this.#webhooks = [...this.#webhooks, webhook]
    return webhook
  }

  /** False when there is no such webhook. */
  removeWebhook(id: number): boolean {
    const before = this.#webhooks
    this.#webhooks = before.filter((webhook) => webhook.id !== id)
    return this.#webhooks.length < before.length
  }

  /** True when a handler of any kind is bound for it. */
  isAwaited(event: string): boolean {
    if (this.#webhooks.some(({ events }) => events.has(event))) return true
    for (const { handlers } of this.#portal.installations.all()) {
      if (handlers.some((handler) => handler.event === event)) return true
    }
    return false
  }

  /**
   * Tells everybody of a hit's events, in order. A hit made with the last round of an event's token tells nobody, so
   * that an application which answers events with changes does not run for ever.
   */
  async tell(cause: Cause, notes: readonly Note[]): Promise<Delivery[]> {
    const rounds = cause.rounds === undefined ? ROUNDS : cause.rounds - 1
    if (rounds === 0) return []
    const posts: Promise<readonly Delivery[]>[] = []
    for (const note of notes) {
      const who = cause.userId === undefined ? {} : { userId: cause.userId }
      const happening = { event: note.event, data: note.data, rounds, ...who }
      const told = note.only === undefined ? this.#portal.installations.all() : [note.only]
      for (const each of told) posts.push(raise(this.#parts, each, each.handlers, happening))
      if (note.only !== undefined) continue
      for (const webhook of this.#webhooks.filter(({ events }) => events.has(note.event)))
        posts.push(Promise.all([tellWebhook(this.#parts, this.#portal, webhook, happening)]))
    }
    for (const installation of this.#portal.installations.all())
      posts.push(this.#queue(cause, notes, installation, rounds))
    return (await Promise.all(posts)).flat()
  }

  slowHandlers(): Record<string, number> {
    return this.#parts.sender.slow.stats()
  }

  /** Puts events into an application's queue, and nudges it. */
  #queue(
    cause: Cause,
    notes: readonly Note[],
    installation: Installation,
    rounds: number,
  ): Promise<readonly Delivery[]> {
    const { handlers, installed, paid, offline } = installation
    if (!installed || !paid || !handlers.some((handler) => handler.offline)) return Promise.resolve([])
    const counts = new Map<string, number>()
    let fresh = false
    const additional = cause.userId === undefined ? (false as const) : { user_id: String(cause.userId) }
    for (const note of notes) {
      if (note.only !== undefined && note.only !== installation) continue
      for (const { event, offline: isOffline, connector } of handlers) {
        if (!isOffline || event !== note.event || this.#isOwn(cause, note, installation, connector)) continue
        const isNew = offline.add({ event, data: note.data as Json, connector, additional })
        fresh ||= isNew || this.#portal.settings.switches.offlineNudges === 'every-change'
        counts.set(connector, (counts.get(connector) ?? 0) + 1)
      }
    }
    if (counts.size === 0) return Promise.resolve([])
    const queued = Array.from(counts, ([connectorId, count]) => ({ connectorId, count }))
    for (const listener of this.#listeners) listener({ installation, queued })
    return fresh ? this.#nudge(cause, installation, rounds) : Promise.resolve([])
  }

  /** A change that the application made itself under the same connector does not come back to it. */
  #isOwn(cause: Cause, note: Note, installation: Installation, connector: string): boolean {
    if (cause.installation?.application !== installation.application || note.connector !== connector)
      return false
    return connector !== '' || this.#portal.settings.switches.ownOfflineChanges === 'dropped'
  }

  /** https://apidocs.bitrix24.com/api-reference/events/on-offline-event.html */
  #nudge(cause: Cause, installation: Installation, rounds: number): Promise<readonly Delivery[]> {
    const now = this.#portal.now()
    const due = installation.handlers.filter(({ id, event, minTimeoutSeconds = 1 }) => {
      const last = this.#nudgedAtMs.get(id) ?? Number.NEGATIVE_INFINITY
      return event === 'ONOFFLINEEVENT' && now - last >= minTimeoutSeconds * 1000
    })
    for (const { id } of due) this.#nudgedAtMs.set(id, now)
    const who = cause.userId === undefined ? {} : { userId: cause.userId }
    return raise(this.#parts, installation, due, { event: 'ONOFFLINEEVENT', data: {}, rounds, ...who })
  }
}
