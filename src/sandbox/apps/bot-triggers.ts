import type { Portal } from '../portal.ts'
import { type BotNews, type CalledCommand, tellBots } from './bot-news.ts'
import type { Bot, BotCommand } from './bots.ts'
import type { Chat, ChatMessage } from './chats.ts'
import type { EventParts } from './events.ts'
import type { Delivery } from './sender.ts'

/**
 * Somebody does something in a chat with bots.
 *
 * | `do` | means |
 * | --- | --- |
 * | `open-chat` | a user opens the chat with a bot for the first time |
 * | `invite` | a user takes a bot into a group chat, a new one unless `chatId` names it |
 * | `say` | a user writes to a bot, or into a group chat; `/word` calls a command |
 * | `edit`, `erase` | a user changes or deletes an own message |
 */
export type BotTrigger = { readonly userId?: number } & (
  | { readonly do: 'open-chat'; readonly botId: number }
  | { readonly do: 'invite'; readonly botId: number; readonly chatId?: number; readonly title?: string }
  | {
      readonly do: 'say'
      readonly botId?: number
      readonly chatId?: number
      readonly text: string
      /** How a command was called. */
      readonly context?: CalledCommand['context']
    }
  | { readonly do: 'edit'; readonly messageId: number; readonly text: string }
  | { readonly do: 'erase'; readonly messageId: number }
)

/** Where it happened. */
export interface BotOutcome {
  readonly chatId: number
  readonly chatMessageId?: number
  readonly deliveries: Delivery[]
}

/** Carries it out and tells the bots that hear it. */
export async function actInChat(parts: EventParts, portal: Portal, trigger: BotTrigger): Promise<BotOutcome> {
  const userId = trigger.userId ?? 1
  if (portal.data.user.get(userId) === undefined) throw new Error(`the portal has no user ${userId}`)
  switch (trigger.do) {
    case 'open-chat': {
      const bot = botOf(portal, trigger.botId)
      return tell(parts, portal, [bot], {
        kind: 'JOINCHAT',
        userId,
        chat: portal.chats.between(userId, bot.id),
      })
    }
    case 'invite': {
      const bot = botOf(portal, trigger.botId)
      const { chatId, title = 'Group' } = trigger
      const chat = chatId === undefined ? portal.chats.group(title, userId) : chatOf(portal, chatId)
      portal.chats.join(chat, bot.id)
      return tell(parts, portal, [bot], { kind: 'JOINCHAT', userId, chat })
    }
    case 'say': {
      const chat =
        trigger.chatId === undefined
          ? portal.chats.between(userId, botOf(portal, trigger.botId ?? 0).id)
          : chatOf(portal, trigger.chatId)
      if (chat.type === 'group') portal.chats.join(chat, userId)
      else if (!chat.members.includes(userId)) throw new Error(`user ${userId} is not in chat ${chat.id}`)
      const what = { authorId: userId, text: trigger.text, system: false, atMs: portal.now() }
      const message = portal.chats.say(chat, what)
      const called = calledCommand(portal, chat, trigger.text, trigger.context ?? 'TEXTAREA')
      if (called === undefined)
        return tell(parts, portal, hearers(portal, chat, message), {
          kind: 'MESSAGEADD',
          userId,
          chat,
          message,
        })
      const bot = botOf(portal, called.command.botId)
      return tell(parts, portal, [bot], { kind: 'COMMANDADD', userId, chat, message, command: called })
    }
    case 'edit':
    case 'erase': {
      const found = portal.chats.message(trigger.messageId)
      if (found?.message.authorId !== userId)
        throw new Error(`user ${userId} wrote no message ${trigger.messageId}`)
      const bots = hearers(portal, found.chat, found.message)
      portal.chats.change(found.message, trigger.do === 'edit' ? trigger.text : undefined)
      const message = portal.chats.message(trigger.messageId)?.message ?? found.message
      const kind = trigger.do === 'edit' ? 'MESSAGEUPDATE' : 'MESSAGEDELETE'
      return tell(parts, portal, bots, { kind, userId, chat: found.chat, message })
    }
    default:
      throw new Error('no such trigger')
  }
}

async function tell(
  parts: EventParts,
  portal: Portal,
  bots: readonly Bot[],
  news: BotNews & { readonly chat: Chat },
): Promise<BotOutcome> {
  const deliveries = await tellBots(parts, portal, bots, news)
  return { chatId: news.chat.id, ...(news.message && { chatMessageId: news.message.id }), deliveries }
}

const HEARS_ALL = ['S', 'supervisor', 'personal']

/** In a group chat only bots that are mentioned, or of a kind that reads everything. */
function hearers(portal: Portal, chat: Chat, { text }: ChatMessage): Bot[] {
  return portal.bots
    .all()
    .filter(
      ({ id, type }) =>
        chat.members.includes(id) &&
        (chat.type === 'private' || HEARS_ALL.includes(type) || text.includes(`[USER=${id}]`)),
    )
}

function calledCommand(
  portal: Portal,
  chat: Chat,
  text: string,
  context: CalledCommand['context'],
): CalledCommand | undefined {
  const [, word, params = ''] = /^\/(\w+)(?:\s+(.*))?$/s.exec(text) ?? []
  const isHere = ({ botId, common }: BotCommand) => common || chat.members.includes(botId)
  const command = portal.bots.commands().find((known) => known.word === word && isHere(known))
  return command && { command, params, context }
}

function botOf(portal: Portal, id: number): Bot {
  const bot = portal.bots.get(id)
  if (bot === undefined) throw new Error(`the portal has no bot ${id}`)
  return bot
}

function chatOf(portal: Portal, id: number): Chat {
  const chat = portal.chats.get(id)
  if (chat === undefined) throw new Error(`the portal has no chat ${id}`)
  return chat
}
