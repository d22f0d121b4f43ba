import { createHash } from 'node:crypto'
import type { PortalEvent } from '../../../model/event.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../model/json.ts'

/** Which queue: that of one connector of an application on a portal. */
export interface OfflineQueueKey {
  /** Permanent id of the portal. */
  readonly memberId: string
  readonly clientId: string
  /** `auth_connector` of the handlers; empty for those without. */
  readonly connector: string
}

/**
 * One event as the portal keeps it.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
 */
export interface OfflineRow {
  /** Digits. A repeat goes into the same row as long as nobody has reserved it. */
  readonly id: string
  /** When it was last seen, to the second: milliseconds since 1970. */
  readonly seenAt: number
  readonly event: string
  readonly data: JsonObject
  readonly userId?: string
  /** 32 digits, the same for each repeat of an event on the same object. */
  readonly messageId: string
  /** Who has reserved it; empty for nobody, or where the answer does not say. */
  readonly processId: string
  /** It was hidden by `event.offline.error`. */
  readonly hidden: boolean
}

const DIGITS = /^\d{1,20}$/

/** Reads a row, or says `undefined` where nothing could be cleared by it: without id, message id or name. */
export function parseRow(value: Json | undefined): OfflineRow | undefined {
  if (!isJsonObject(value)) return undefined
  const id = text(value.ID)
  const messageId = text(value.MESSAGE_ID)
  const event = text(value.EVENT_NAME).toUpperCase()
  const seenAt = Date.parse(text(value.TIMESTAMP_X))
  if (!DIGITS.test(id) || messageId.length !== 32 || event === '' || Number.isNaN(seenAt)) return undefined
  const { EVENT_DATA: data, EVENT_ADDITIONAL: additional } = value
  const userId = isJsonObject(additional) ? text(additional.user_id) : ''
  return {
    id,
    seenAt,
    event,
    // PHP has no empty object: an event without data says false, or an empty list.
    data: isJsonObject(data) ? data : Array.isArray(data) ? Object.fromEntries(data.entries()) : {},
    messageId,
    processId: text(value.PROCESS_ID),
    hidden: text(value.ERROR) === '1',
    ...(userId === '' || userId === '0' ? {} : { userId }),
  }
}

function text(value: Json | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : ''
}

/** In the order in which the portal saw them last; within a second by id. */
export function byTime(a: OfflineRow, b: OfflineRow): number {
  return a.seenAt - b.seenAt || compareIds(a.id, b.id)
}

/** Ids are digits that may be too long for a number. */
export function compareIds(a: string, b: string): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0)
}

/** The rows without those that come twice, each as it stands first. */
export function withoutRepeats(rows: readonly OfflineRow[]): OfflineRow[] {
  const seen = new Map<string, OfflineRow>()
  for (const row of rows) {
    const known = seen.get(row.id)
    if (known === undefined || row.seenAt > known.seenAt) seen.set(row.id, row)
  }
  return [...seen.values()]
}

/** The rows by what they have in common, in their order. */
export function groupRows<K>(
  rows: Iterable<OfflineRow>,
  keyOf: (row: OfflineRow) => K,
): Map<K, OfflineRow[]> {
  const groups = new Map<K, OfflineRow[]>()
  for (const row of rows) {
    const key = keyOf(row)
    const group = groups.get(key)
    if (group === undefined) groups.set(key, [row])
    else group.push(row)
  }
  return groups
}

/** What tells a row from itself after it was seen again. */
export function versionOf({ id, seenAt }: OfflineRow): string {
  return `${id} ${seenAt}`
}

/**
 * The row as an event. Its key is the same however often the row is read, and another one when the row was read, and
 * the same thing happened again.
 */
export function eventOfRow(
  row: OfflineRow,
  queue: OfflineQueueKey & { readonly domain: string },
  receivedAt: number,
): PortalEvent {
  const { memberId, clientId, connector, domain } = queue
  return {
    kind: 'offline',
    memberId,
    domain,
    application: clientId,
    event: row.event,
    data: row.data,
    ...(row.userId === undefined ? {} : { userId: row.userId }),
    happenedAt: row.seenAt,
    receivedAt,
    key: `offline-${digest([memberId, clientId, connector, row.messageId, row.seenAt, row.id])}`,
  }
}

function digest(parts: readonly (string | number)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url')
}
