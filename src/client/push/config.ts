import { BridgeError } from '../../model/errors.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'

/** Where and how to listen for an application's messages. Its addresses and channels are secrets: never log it. */
export interface PushConfig {
  /** Version of the push server: 3 has the history by `mid`, 4 binary frames, 5 JSON-RPC. */
  readonly version: number
  readonly websocket?: string
  readonly longPolling?: string
  /** Ids with their signatures, as the server wants them. */
  readonly channels: readonly string[]
  /** The account on a push server that many portals share. */
  readonly clientId?: string
  readonly jwt?: string
  /** When the first channel, or the whole of it, is no longer good: milliseconds since 1970. */
  readonly expiresAt?: number
  /** Revision of the protocol that the portal speaks. */
  readonly revision?: number
}

/**
 * Reads the answer of `pull.application.config.get` in all its spellings. For a portal at an `https:` address only
 * encrypted endpoints count. Throws a `BridgeError`: `PUSH_OFF` when the portal has no push server, `PUSH_CONFIG` when
 * the answer cannot be used.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-config-get.html
 */
export function parsePushConfig(result: unknown, { secure }: { readonly secure: boolean }): PushConfig {
  const root = objectOf(result)
  const server = objectOf(root.server)
  if (isFalse(server.server_enabled)) throw off()
  const websocket = isFalse(server.websocket_enabled)
    ? undefined
    : pick(secure, server.websocket_secure, server.websocket, ['ws:', 'wss:'])
  const longPolling = pick(
    secure,
    server.long_pooling_secure ?? server.long_polling_secure,
    server.long_polling ?? server.long_pooling,
    ['http:', 'https:'],
  )
  const channels = channelsOf(root.channels)
  const jwt = textOf(root.jwt)
  if (websocket === undefined && longPolling === undefined) throw bad('names no address to listen at')
  if (channels.length === 0 && jwt === undefined) throw bad('names no channel')
  const clientId = textOf(root.clientId) ?? textOf(server.clientId)
  const expiresAt = earliest(root)
  const revision = Number(objectOf(root.api).revision_web)
  return {
    version: Number(server.version) || 1,
    ...(websocket === undefined ? {} : { websocket }),
    ...(longPolling === undefined ? {} : { longPolling }),
    channels,
    ...(clientId === undefined ? {} : { clientId }),
    ...(jwt === undefined ? {} : { jwt }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
    ...(Number.isFinite(revision) ? { revision } : {}),
  }
}

/** The encrypted address; a plain one only for a portal that is itself reached without encryption. */
function pick(
  secure: boolean,
  encrypted: unknown,
  plain: unknown,
  [weak, strong]: readonly [string, string],
): string | undefined {
  if (secure) return endpoint(encrypted, [strong]) ?? endpoint(plain, [strong])
  return endpoint(plain, [weak, strong]) ?? endpoint(encrypted, [strong])
}

function endpoint(value: unknown, schemes: readonly string[]): string | undefined {
  const text = textOf(value)
  if (text === undefined || !URL.canParse(text)) return undefined
  return schemes.includes(new URL(text).protocol) ? text : undefined
}

function channelsOf(value: unknown): string[] {
  const channels = objectOf(value)
  return ['private', 'shared'].flatMap((name) => textOf(objectOf(channels[name]).id) ?? [])
}

function earliest(root: JsonObject): number | undefined {
  const channels = objectOf(root.channels)
  const ends = ['private', 'shared'].map((name) => momentOf(objectOf(channels[name]).end))
  const known = [...ends, momentOf(root.exp)].filter((moment) => moment !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

/** ISO text, or seconds since 1970 as a number or its text. */
function momentOf(value: unknown): number | undefined {
  const text = textOf(value)
  const moment = text !== undefined && /\D/.test(text) ? Date.parse(text) : Number(text) * 1000
  return Number.isFinite(moment) && moment > 0 ? moment : undefined
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {}
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'number') return String(value)
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** PHP writes what is off as `false`, `0`, `''`, `'N'`; what is not said counts as on. */
function isFalse(value: unknown): boolean {
  return value !== undefined && [false, 0, '', '0', 'N', 'false', null].includes(value as null)
}

function off(): BridgeError {
  return new BridgeError('PUSH_OFF', 'The portal has no push server', {
    hint: 'Its administrator switches it on in the settings of the module Push and Pull.',
  })
}

function bad(what: string): BridgeError {
  return new BridgeError('PUSH_CONFIG', `The portal's answer about its push server ${what}`, {
    hint: 'Look at the answer of pull.application.config.get on that portal.',
  })
}
