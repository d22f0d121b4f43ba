import type { Portal } from '../portal.ts'
import { isoTime } from '../time.ts'
import type { Bot, BotCommand } from './bots.ts'
import type { Chat, ChatMessage } from './chats.ts'
import { type EventParts, type Happening, raise, tellWebhook } from './events.ts'
import { legacyEvent } from './legacy-bot-events.ts'
import type { Delivery } from './sender.ts'
import { botEvent } from './v2-bot-events.ts'

/** Something that bots are told of. */
export interface BotNews {
  readonly kind: 'MESSAGEADD' | 'MESSAGEUPDATE' | 'MESSAGEDELETE' | 'COMMANDADD' | 'JOINCHAT' | 'DELETE'
  /** Who did it. */
  readonly userId: number
  /** Missing with `DELETE` only. */
  readonly chat?: Chat
  /** Of all that is about a message. */
  readonly message?: ChatMessage
  readonly command?: CalledCommand
}

/** A command as somebody wrote it. */
export interface CalledCommand {
  readonly command: BotCommand
  /** What stands behind the word. */
  readonly params: string
  readonly context: 'TEXTAREA' | 'KEYBOARD' | 'MENU'
}

/**
 * Tells bots: those of version 1 by one request for all bots of an application, those of version 2 by one request each,
 * or by keeping the event until it is fetched. Resolves when the last request is over.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/index.html
 */
export async function tellBots(
  parts: EventParts,
  portal: Portal,
  bots: readonly Bot[],
  news: BotNews,
): Promise<Delivery[]> {
  const posts: Promise<Delivery[]>[] = []
  const legacy = bots.filter(({ version }) => version === 1)
  for (const key of new Set(legacy.map(({ owner }) => owner.key))) {
    const together = legacy.filter(({ owner }) => owner.key === key)
    const event = legacyEvent(parts, portal, together, news)
    posts.push(deliver(parts, portal, together[0]!, { ...event, userId: news.userId }))
  }
  for (const bot of bots.filter(({ version }) => version === 2)) {
    const { event, data } = botEvent(parts, portal, bot, news)
    if (bot.eventMode === 'webhook')
      posts.push(deliver(parts, portal, bot, { event, data, userId: news.userId }))
    else portal.bots.keep(bot, { type: event, date: isoTime(portal.now()), data })
  }
  return (await Promise.all(posts)).flat()
}

async function deliver(
  parts: EventParts,
  portal: Portal,
  bot: Bot,
  happening: Happening,
): Promise<Delivery[]> {
  const { installation } = bot.owner
  if (installation !== undefined)
    return raise(parts, installation, bot.version === 1 ? installation.handlers : bot.handlers, happening)
  const { applicationToken } = bot
  const bound = bot.handlers.filter(({ event }) => event === happening.event)
  return Promise.all(
    bound.map(({ id, url, event }) =>
      tellWebhook(parts, portal, { id, url, events: new Set([event]), applicationToken }, happening),
    ),
  )
}
