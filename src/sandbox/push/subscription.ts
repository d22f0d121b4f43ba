import type { Format } from './framing.ts'
import type { PushHabits } from './habits.ts'
import { channelsOfJwt, parseChannels } from './tokens.ts'

/** What a client asked for when it connected. */
export interface Subscription {
  /** Ids without signatures, public ones included. */
  readonly channels: readonly string[]
  readonly format: Format
  /** The last message that the client has; without it nothing old is sent. */
  readonly mid: string | undefined
}

/** Why a connection is refused or ended, with the number that a WebSocket is closed with. */
export interface Refusal {
  readonly code: number
  /** As it stands behind the number in the reason of a close, or in the body of an answer. */
  readonly text: string
}

export const WRONG_CHANNEL: Refusal = { code: 4010, text: 'Wrong Channel Id.' }
export const TOO_MANY_CONNECTIONS: Refusal = { code: 4029, text: 'Too many connections' }
export const WRONG_CLIENT: Refusal = { code: 4036, text: 'Wrong Client Id.' }

/** What a push server knows of the portal that a client connects for. */
export interface Keeper {
  readonly habits: PushHabits
  readonly key: string
  readonly clientId: string
}

/** Reads the query of a connection. A `mid` that has not 26 digits counts as none. */
export function readSubscription(
  query: URLSearchParams,
  keeper: Keeper,
  nowMs: number,
): Subscription | Refusal {
  const { habits, key, clientId } = keeper
  if (habits.pushServer === 'shared' && query.get('clientId') !== clientId) return WRONG_CLIENT
  const token = habits.pushVersion >= 5 ? query.get('token') : null
  const channels =
    token === null ? parseChannels(key, query.get('CHANNEL_ID') ?? '') : channelsOfJwt(key, token, nowMs)
  if (channels === undefined) return WRONG_CHANNEL
  const mid = query.get('mid') ?? ''
  return { channels, format: formatOf(query, habits), mid: /^\d{26}$/.test(mid) ? mid : undefined }
}

/** `4010: Wrong Channel Id.` */
export function refusalText({ code, text }: Refusal): string {
  return `${code}: ${text}`
}

function formatOf(query: URLSearchParams, habits: PushHabits): Format {
  if (habits.pushVersion >= 5 && query.get('jsonRpc') === 'true') return 'rpc'
  if (query.get('binaryMode') === 'true') return 'binary'
  return habits.pushJson && query.get('format') === 'json' ? 'json' : 'text'
}
