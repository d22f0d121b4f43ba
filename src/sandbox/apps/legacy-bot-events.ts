import type { FormValue } from '../form.ts'
import type { Portal } from '../portal.ts'
import type { BotNews, CalledCommand } from './bot-news.ts'
import type { Bot } from './bots.ts'
import { type Chat, type ChatMessage, dialogIdFor } from './chats.ts'
import { authOf, type EventParts } from './events.ts'

type Fields = { readonly [name: string]: FormValue }

const LANGUAGE = 'en'

/**
 * An event as bots of version 1 get it: several bots of an application stand in it by their ids, each with tokens of
 * its own.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/messages/events/on-imbot-message-add.html
 */
export function legacyEvent(
  parts: EventParts,
  portal: Portal,
  bots: readonly Bot[],
  news: BotNews,
): { readonly event: string; readonly data: Fields } {
  const bot = bots[0]!
  const { kind, userId, chat, message, command } = news
  if (chat === undefined) return { event: 'ONIMBOTDELETE', data: { BOT_ID: bot.id, BOT_CODE: bot.code } }
  const about = message === undefined ? joined(bot, chat, userId) : said(bots, chat, message)
  const data = { PARAMS: { ...about, LANGUAGE }, USER: userOf(portal, userId) }
  if (command !== undefined && message !== undefined) {
    const called = calledCommand(parts, bot, command, message)
    return { event: 'ONIMCOMMANDADD', data: { COMMAND: { [command.command.id]: called }, ...data } }
  }
  const BOT = Object.fromEntries(bots.map((each) => [each.id, identityOf(parts, each)]))
  return { event: `ONIMBOT${kind}`, data: { BOT, ...data } }
}

/** The bot's tokens, twice, as portals send them. */
function identityOf(parts: EventParts, bot: Bot): Fields {
  const { installation } = bot.owner
  const named = { BOT_ID: bot.id, BOT_CODE: bot.code }
  if (installation === undefined) return named
  const auth = {
    ...authOf(parts.authority, installation, { userId: bot.id, withRefreshToken: true }),
    client_id: installation.application.clientId,
  }
  return { ...auth, AUTH: auth, ...named }
}

function calledCommand(
  parts: EventParts,
  bot: Bot,
  { command, params, context }: CalledCommand,
  message: ChatMessage,
): Fields {
  return {
    ...identityOf(parts, bot),
    COMMAND: command.word,
    COMMAND_ID: command.id,
    COMMAND_PARAMS: params,
    COMMAND_CONTEXT: context,
    MESSAGE_ID: message.id,
  }
}

function said(bots: readonly Bot[], chat: Chat, message: ChatMessage): Fields {
  const bot = bots[0]!
  const common = {
    MESSAGE: message.text,
    FROM_USER_ID: message.authorId,
    DIALOG_ID: dialogIdFor(chat, bot.id),
    TO_CHAT_ID: chat.id,
    AUTHOR_ID: message.authorId,
    SYSTEM: 'N',
    TO_USER_ID: bot.id,
    CHAT_USER_COUNT: chat.members.length,
    MESSAGE_ID: message.id,
  }
  if (chat.type === 'private') return { ...common, MESSAGE_TYPE: 'P', CHAT_TYPE: 'P' }
  const mentioned = bots.map(({ id }) => [id, id]).filter(([id]) => message.text.includes(`[USER=${id}]`))
  return {
    ...common,
    MESSAGE: message.text.replace(/\[USER=\d+\].*?\[\/USER\]/g, '').trim(),
    MESSAGE_ORIGINAL: message.text,
    MESSAGE_TYPE: 'C',
    CHAT_TYPE: 'C',
    CHAT_ID: chat.id,
    CHAT_TITLE: chat.title,
    CHAT_AUTHOR_ID: chat.ownerId,
    MENTIONED_LIST: Object.fromEntries(mentioned),
  }
}

/** https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/chats/events/on-imbot-join-chat.html */
function joined(bot: Bot, chat: Chat, userId: number): Fields {
  const type = chat.type === 'private' ? 'P' : 'C'
  const place =
    type === 'P'
      ? { TO_USER_ID: userId, FROM_USER_ID: bot.id }
      : { CHAT_ID: chat.id, CHAT_AUTHOR_ID: chat.ownerId, ACCESS_HISTORY: 1 }
  return {
    CHAT_TYPE: type,
    MESSAGE_TYPE: type,
    BOT_ID: bot.id,
    USER_ID: userId,
    ...place,
    DIALOG_ID: dialogIdFor(chat, bot.id),
  }
}

function userOf(portal: Portal, id: number): Fields {
  const user = portal.data.user.get(id)
  const [first, last] = [String(user?.NAME ?? ''), String(user?.LAST_NAME ?? '')]
  return {
    ID: id,
    NAME: `${first} ${last}`.trim(),
    FIRST_NAME: first,
    LAST_NAME: last,
    WORK_POSITION: String(user?.WORK_POSITION ?? ''),
    GENDER: 'M',
    IS_BOT: 'N',
    IS_CONNECTOR: 'N',
    IS_NETWORK: 'N',
    IS_EXTRANET: 'N',
  }
}
