import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** One message of a push server, however it was framed. */
export interface PushMessage {
  /** 26 digits on servers since version 3; absent on older ones. */
  readonly mid?: string
  /** What older servers tell the place in the history by. */
  readonly tag?: string
  readonly time?: string
  readonly moduleId: string
  readonly command: string
  readonly params: Json
  /** When it was sent, milliseconds since 1970; absent when the server does not say. */
  readonly sentAt?: number
}

const LONGEST_PLACE = 100

/**
 * A message as servers up to version 4 write it: what it says is in `text`, and `extra` stands in `text` or beside it.
 * `undefined` for anything without a command.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export function parseMessage(value: unknown): PushMessage | undefined {
  if (!isJsonObject(value)) return undefined
  const text = typeof value.text === 'string' ? readObject(value.text) : value.text
  return isJsonObject(text) ? build(text, value) : undefined
}

/** A message whose `text` came alone, with what the envelope around it said (`mid`, `extra`, `sentAt`). */
export function parseBody(
  body: unknown,
  envelope: { readonly mid?: string; readonly sentAt?: number },
): PushMessage | undefined {
  const text = typeof body === 'string' ? readObject(body) : body
  if (!isJsonObject(text)) return undefined
  const { sentAt, ...outer } = envelope
  const message = build(text, outer)
  if (message === undefined || message.sentAt !== undefined || sentAt === undefined) return message
  return { ...message, sentAt }
}

function build(text: JsonObject, outer: JsonObject): PushMessage | undefined {
  const { command } = text
  if (typeof command !== 'string' || command === '') return undefined
  const mid = placeOf(outer.mid)
  const tag = placeOf(outer.tag)
  const time = placeOf(outer.time)
  const sentAt = secondsOf(text.extra) ?? secondsOf(outer.extra) ?? parsedTime(time)
  return {
    ...(mid === undefined ? {} : { mid }),
    ...(tag === undefined ? {} : { tag }),
    ...(time === undefined ? {} : { time }),
    moduleId: wordOf(text.module_id) ?? '',
    command,
    params: text.params ?? null,
    ...(sentAt === undefined ? {} : { sentAt }),
  }
}

function readObject(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function wordOf(value: Json | undefined): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** Places in the history are remembered and sent back; one that is longer than any server writes is none. */
function placeOf(value: Json | undefined): string | undefined {
  const word = wordOf(value)
  return word !== undefined && word.length <= LONGEST_PLACE ? word : undefined
}

function secondsOf(extra: Json | undefined): number | undefined {
  const seconds = isJsonObject(extra) ? Number(extra.server_time_unix) : Number.NaN
  return Number.isFinite(seconds) && seconds > 0 ? Math.round(seconds * 1000) : undefined
}

function parsedTime(time: string | undefined): number | undefined {
  const moment = time === undefined ? Number.NaN : Date.parse(time)
  return Number.isNaN(moment) ? undefined : moment
}
