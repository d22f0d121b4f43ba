import { createHash } from 'node:crypto'
import type { PortalEvent } from '../../../model/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../model/json.ts'
import { secretsIn, stripTokens } from '../strip.ts'

/** An event that waits for its bot on the portal. */
export interface BotRow {
  /** Rises from event to event. */
  readonly eventId: number
  /** `ONIMBOTV2MESSAGEADD` */
  readonly type: string
  /** As the portal wrote it. */
  readonly date: string
  readonly data: JsonObject
}

/** What `imbot.v2.Event.get` answered. */
export interface BotPage {
  /** In the order in which they happened. */
  readonly rows: readonly BotRow[]
  /** Confirms the whole page, when it is passed on; absent where the page is empty. */
  readonly nextOffset?: number
  readonly hasMore: boolean
  /** What stood among the events and is none. */
  readonly unreadable: number
}

/** Whose event it is. */
export interface BotOwner {
  readonly memberId: string
  readonly clientId: string
  readonly domain: string
  readonly botId: number
}

/**
 * Reads a page; `undefined` when it is none.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/event-get.html
 */
export function pageOf(result: Json | undefined): BotPage | undefined {
  if (!isJsonObject(result) || !Array.isArray(result.events)) return undefined
  const rows = result.events.flatMap((one) => rowOf(one) ?? []).sort((a, b) => a.eventId - b.eventId)
  const last = rows.at(-1)?.eventId
  const told = Number(result.nextOffset)
  const unreadable = result.events.length - rows.length
  // Where nothing could be read only the portal can say how to get past it.
  const beyond = unreadable > 0 && told > 0 ? { nextOffset: told } : {}
  return {
    rows,
    ...(last === undefined ? beyond : { nextOffset: last + 1 }),
    hasMore: result.hasMore === true,
    unreadable,
  }
}

function rowOf(value: Json): BotRow | undefined {
  if (!isJsonObject(value)) return undefined
  const eventId = Number(value.eventId)
  const { type, date, data } = value
  if (!Number.isSafeInteger(eventId) || eventId <= 0) return undefined
  if (typeof type !== 'string' || !/^\w{1,200}$/.test(type)) return undefined
  return {
    eventId,
    type: type.toUpperCase(),
    date: typeof date === 'string' ? date : '',
    data: isJsonObject(data) ? data : {},
  }
}

/** The event as it is published: as one that was posted, but with numbers and truth values as such. */
export function eventOfRow(row: BotRow, owner: BotOwner, receivedAt: number): PortalEvent {
  const { eventId, type, date, data } = row
  const { memberId, clientId, domain, botId } = owner
  const userId = isJsonObject(data.user) ? Number(data.user.id) : Number.NaN
  const happenedAt = Date.parse(date)
  const identity = [memberId, clientId, 'bot', botId, eventId, type, date]
  return {
    kind: 'bot',
    memberId,
    domain,
    application: clientId,
    event: type,
    data: stripTokens(data, secretsIn(data)),
    ...(userId > 0 ? { userId: String(userId) } : {}),
    ...(Number.isNaN(happenedAt) ? {} : { happenedAt }),
    receivedAt,
    key: createHash('sha256').update(JSON.stringify(identity)).digest('hex'),
  }
}
