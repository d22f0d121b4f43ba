import type { PushConfig } from './config.ts'
import { historyQuery, type Position } from './position.ts'

/** The revision of the protocol that is spoken here. */
export const REVISION = 19

/** `binary` asks servers of version 4 for protobuf instead of JSON; both are understood whatever is asked for. */
export type PushFormat = 'json' | 'binary'

/**
 * The address to connect to: the endpoint as the portal gave it, with the channels or the token, and with the place in
 * the history. It holds secrets: never log it.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export function connectionAddress(
  config: PushConfig,
  how: {
    readonly transport: 'websocket' | 'polling'
    readonly position: Position | undefined
    readonly format: PushFormat
  },
): string {
  const url = new URL((how.transport === 'websocket' ? config.websocket : config.longPolling) as string)
  const query = {
    ...(config.jwt === undefined ? { CHANNEL_ID: config.channels.join('/') } : { token: config.jwt }),
    ...(config.clientId === undefined ? {} : { clientId: config.clientId }),
    ...formatQuery(config.version, how),
    revision: String(REVISION),
    ...historyQuery(how.position, config.version),
  }
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value)
  url.hash = ''
  return url.href
}

function formatQuery(
  version: number,
  { transport, format }: { readonly transport: string; readonly format: PushFormat },
): Readonly<Record<string, string>> {
  if (version >= 5 && transport === 'websocket') return { jsonRpc: 'true' }
  if (version < 4) return {}
  return format === 'binary' ? { binaryMode: 'true' } : { format: 'json' }
}
