import { createHash, randomBytes } from 'node:crypto'
import type { Json, JsonObject } from '../../model/json.ts'
import { isoTime } from '../time.ts'
import { type Channel, Channels } from './channels.ts'
import { type Connection, Connections } from './connection.ts'
import type { PushHabits } from './habits.ts'
import { History, type PushMessage } from './history.ts'
import { PushRecord } from './record.ts'
import type { Keeper } from './subscription.ts'
import { signChannel } from './tokens.ts'

/** What a portal publishes, before the push server has it. */
export interface Publication {
  readonly moduleId: string
  readonly command: string
  readonly params: Json
  /** Seconds that it is kept for those who come later; a day unless given, 0 for those who listen now. */
  readonly expiry?: number
}

/** The application and the user that a channel belongs to; user 0 is all of them. */
export interface ChannelOwner {
  readonly clientId: string
  readonly userId: number
}

/** Push & Pull of one portal: its channels, what is sent on them, and who listens. */
export class PortalPush implements Keeper {
  readonly habits: PushHabits
  /** With this channels are signed. */
  readonly key = randomBytes(16).toString('hex')
  /** How a shared push server knows the portal. */
  readonly clientId: string
  readonly channels: Channels
  readonly history: History
  readonly connections: Connections
  readonly record = new PushRecord()
  readonly startMs: number
  readonly now: () => number
  readonly #domain: () => string

  constructor(habits: PushHabits, now: () => number, portal: { memberId: string; domain: () => string }) {
    this.habits = habits
    this.now = now
    this.startMs = now()
    this.#domain = portal.domain
    this.clientId = createHash('md5').update(`push ${portal.memberId}`).digest('hex')
    this.history = new History(now())
    this.connections = new Connections(habits.pushConnections)
    this.channels = new Channels(now, (old, next) => this.tellExpired(old, next, 'get_config'))
  }

  /** Publishes one message on the channels of today; those who listen to an ended one do not get it. */
  publish(owners: readonly ChannelOwner[], publication: Publication): PushMessage {
    const ids = owners.map(({ clientId, userId }) => this.channels.of(clientId, userId).id)
    return this.publishOn(ids, publication)
  }

  /** The same on channels that may have ended. */
  publishOn(channels: readonly string[], publication: Publication): PushMessage {
    const message = this.history.add(
      channels,
      this.#textOf(publication),
      publication.expiry ?? 86_400,
      this.now(),
    )
    for (const connection of this.connections.on(channels)) connection.deliver([message])
    return message
  }

  /** Sends what was missed, then takes the listener in. */
  admit(connection: Connection): void {
    const { mid, channels } = connection.card
    const missed = mid === undefined ? [] : this.history.after(mid, channels, this.now())
    if (missed.length > 0) connection.deliver(missed)
    if (missed.length === 0 || connection.card.transport === 'websocket') this.connections.add(connection)
  }

  /**
   * Tells an application that offline events are waiting for it, once for each request that queued some.
   *
   * https://apidocs.bitrix24.com/api-reference/events/offline-events.html
   */
  tellOffline(
    clientId: string,
    counts: readonly { readonly connectorId: string; readonly count: number }[],
  ): void {
    if (this.habits.pushServer === 'none') return
    const params = counts.map(({ connectorId, count }) => ({ connector_id: connectorId, count }))
    this.publish([{ clientId, userId: 0 }], { moduleId: 'rest', command: 'event_offline', params })
  }

  /** Tells those who listen to a channel that it has a successor. */
  tellExpired(old: Channel, next: Channel, action: 'reconnect' | 'get_config'): PushMessage {
    const type = action === 'get_config' ? old.clientId : old.userId === 0 ? 'shared' : 'private'
    const params: JsonObject = {
      action,
      channel: { id: signChannel(this.key, old.id), type },
      ...(action === 'reconnect' ? { new_channel: { ...this.shown(next), type } } : {}),
    }
    return this.publishOn([old.id], { moduleId: 'pull', command: 'channel_expire', params })
  }

  /** A channel as it is told to clients. */
  shown({ id, publicId, startMs, endMs }: Channel): { id: string; start: string; end: string } {
    const value = publicId === undefined ? id : `${id}:${publicId}`
    return { id: signChannel(this.key, value), start: isoTime(startMs), end: isoTime(endMs) }
  }

  /** Ends all connections. */
  close(): void {
    this.connections.endAll((connection) => connection.drop())
  }

  #textOf({ moduleId, command, params }: Publication): JsonObject {
    const nowMs = this.now()
    const extra = {
      server_time: isoTime(nowMs),
      server_time_unix: nowMs / 1000,
      server_time_ago: 0,
      server_name: this.#domain(),
      revision_web: 19,
      revision_mobile: 3,
    }
    return { module_id: moduleId, command, params, extra }
  }
}
