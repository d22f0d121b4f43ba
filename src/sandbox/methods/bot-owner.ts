import { createHash } from 'node:crypto'
import type { Bot, BotOwner } from '../apps/bots.ts'
import type { EventHandler } from '../apps/installations.ts'
import { text } from '../caller.ts'
import { RestFault, systemFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import type { Call } from '../method.ts'

/** The errors of a family of methods. */
export interface BotFaults {
  readonly noOwner: () => RestFault
  readonly noBot: () => RestFault
  readonly foreign: () => RestFault
}

/** Those of version 1. */
export const LEGACY_FAULTS: BotFaults = {
  noOwner: () => systemFault('ACCESS_DENIED', 'Access denied! Client ID not specified'),
  noBot: () => new RestFault('BOT_ID_ERROR', 'Bot not found'),
  foreign: () => new RestFault('APP_ID_ERROR', 'Bot was installed by another REST application'),
}

/** Whose bots a call is about: the application's, or those of the key that a webhook names in `keyParameter`. */
export function ownerOf(call: Call, keyParameter: string, faults: BotFaults): BotOwner {
  const { installation } = call.credential
  if (installation !== undefined) return { key: installation.application.clientId, installation }
  const key = text(call, keyParameter)
  if (key === '') throw faults.noOwner()
  return { key: `custom${createHash('md5').update(key).digest('hex')}` }
}

/** The bot of this id, which must belong to the caller. */
export function ownBot(call: Call, owner: BotOwner, id: string, faults: BotFaults): Bot {
  const bot = call.portal.bots.get(Number(id))
  if (bot === undefined) throw faults.noBot()
  if (bot.owner.key !== owner.key) throw faults.foreign()
  return bot
}

/** Throws the family's own error for an address that no handler may have. */
export function checkBotUrl(url: string, error: string): void {
  try {
    checkHandlerUrl(url)
  } catch {
    throw new RestFault(error, 'Wrong handler URL')
  }
}

/** Binds for the application, one address for each event; the bot itself keeps them where there is none. */
export function bindHandlers(
  call: Call,
  { installation }: BotOwner,
  urls: Record<string, string>,
): EventHandler[] {
  const handlers = Object.entries(urls).map(([event, url]) => ({
    id: call.portal.nextHandlerId(),
    event,
    url,
    userId: 0,
    offline: false,
    connector: '',
  }))
  if (installation === undefined) return handlers
  installation.handlers = [
    ...installation.handlers.filter(({ event }) => urls[event] === undefined),
    ...handlers,
  ]
  return []
}
