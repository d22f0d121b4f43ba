import { createHash } from 'node:crypto'
import type { Json, JsonObject } from '../../model/json.ts'

/** An event that waits in a queue until an application fetches it. */
export interface OfflineRow {
  readonly id: number
  readonly event: string
  readonly connector: string
  /** The same for each repeat of an event on the same object. */
  readonly messageId: string
  /** When it was last seen; repeats move it. */
  timestampMs: number
  data: Json
  additional: JsonObject | false
  /** Who reserved it; empty while it is free. */
  processId: string
  /** Reported by `event.offline.error`: shown only to who asks for errors. */
  failed: boolean
  /** It stood in an answer since it was last seen. */
  shown: boolean
}

/** What is queued, before it has an id. */
export interface OfflineEvent {
  readonly event: string
  readonly data: Json
  readonly connector: string
  readonly additional: JsonObject | false
}

/**
 * 32 hexadecimal digits that tell an event on an object: md5 of the name and the data as PHP writes JSON.
 *
 * https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
 */
export function messageId(event: string, data: Json): string {
  return createHash('md5')
    .update(`${event}|${phpJson(data)}`)
    .digest('hex')
}

/** PHP escapes slashes and everything beyond ASCII. */
function phpJson(value: Json): string {
  return JSON.stringify(value)
    .replaceAll('/', '\\/')
    .replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
