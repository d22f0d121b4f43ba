import { isJsonObject } from '../../model/json.ts'
import type { PushMessage } from './message.ts'

/**
 * What a message is for.
 *
 * - `channels`, `config`, `restart`: for the connection itself (`channel_expire`, `config_expire`, `server_restart`);
 * - `offline`: the portal has queued offline events for the application;
 * - `application`: what the application or its portal says to us.
 */
export type Purpose = 'channels' | 'config' | 'restart' | 'offline' | 'application'

const CONTROLS: Readonly<Record<string, Purpose>> = {
  channel_expire: 'channels',
  config_expire: 'config',
  server_restart: 'restart',
}

/** Commands of the module `pull` that we do not know are nobody else's business either: they count as `application`. */
export function purposeOf({ moduleId, command }: Pick<PushMessage, 'moduleId' | 'command'>): Purpose {
  const module = moduleId.toLowerCase()
  const word = command.toLowerCase()
  if (module === 'pull') return CONTROLS[word] ?? 'application'
  return module === 'rest' && word === 'event_offline' ? 'offline' : 'application'
}

/** The close code of "this channel or this account is not yours any more": ask the portal for the present ones. */
export function isWrongChannel(code: number): boolean {
  return WRONG_CHANNEL.has(code)
}

/**
 * Wrong channel, no channel, invalid channel, invalid signature, client id missing or wrong: 4010, 4017, 4019, 4021,
 * 4025, 4036.
 */
const WRONG_CHANNEL = new Set([4010, 4017, 4019, 4021, 4025, 4036])

/** Servers that refuse before a socket is open say the code in the text: `4010: Wrong Channel Id.` */
export function codeInText(text: string): number | undefined {
  const [, code] = /^\s*(4\d{3}):/.exec(text) ?? []
  return code === undefined ? undefined : Number(code)
}

/** How many offline events the portal speaks of; 1 where it does not say. */
export function offlineCount({ params }: PushMessage): number {
  const list = Array.isArray(params) ? params : [params]
  const counts = list.map((one) => (isJsonObject(one) ? Number(one.count) : 0))
  return Math.max(
    1,
    counts.filter(Number.isFinite).reduce((sum, count) => sum + count, 0),
  )
}
