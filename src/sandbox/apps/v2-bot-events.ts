import type { Json, JsonObject } from '../../model/json.ts'
import type { Portal } from '../portal.ts'
import { isoTime } from '../time.ts'
import type { BotNews } from './bot-news.ts'
import type { Bot } from './bots.ts'
import { type Chat, type ChatMessage, dialogIdFor } from './chats.ts'
import { authOf, type EventParts } from './events.ts'

/** Events that a bot of version 2 is told of. */
export const V2_EVENTS = [
  'MESSAGEADD',
  'MESSAGEUPDATE',
  'MESSAGEDELETE',
  'JOINCHAT',
  'DELETE',
  'CONTEXTGET',
  'COMMANDADD',
  'REACTIONCHANGE',
].map((kind) => `ONIMBOTV2${kind}`)

/**
 * An event as a bot of version 2 gets it. Fetched, it keeps its types and has the whole bot; posted, it has the bot's
 * id, code and tokens.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/events.html
 */
export function botEvent(
  parts: EventParts,
  portal: Portal,
  bot: Bot,
  { kind, userId, chat, message, command }: BotNews,
): { readonly event: string; readonly data: JsonObject } {
  const event = `ONIMBOTV2${kind}`
  const about = { bot: bot.eventMode === 'fetch' ? shownBot(portal, bot) : addressed(parts, bot) }
  if (chat === undefined) return { event, data: about }
  return {
    event,
    data: {
      ...about,
      ...(command && {
        command: {
          id: command.command.id,
          command: `/${command.command.word}`,
          params: command.params,
          context: command.context.toLowerCase(),
        },
      }),
      ...messageOf(kind, message),
      ...(kind === 'JOINCHAT' ? { dialogId: dialogIdFor(chat, bot.id) } : {}),
      chat: shownChat(chat, bot.id),
      user: shownUser(portal, userId),
      language: 'en',
    },
  }
}

/** A bot as its owner sees it. https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/entities.html */
export function shownBot(portal: Portal, bot: Bot): JsonObject {
  const chats = portal.chats.list().filter(({ members }) => members.includes(bot.id))
  const messages = chats.flatMap((chat) => chat.messages)
  return {
    id: bot.id,
    code: bot.code,
    type: bot.type,
    isHidden: false,
    isSupportOpenline: bot.openline,
    isReactionsEnabled: true,
    backgroundId: null,
    language: 'en',
    moduleId: 'rest',
    appId: bot.owner.key,
    eventMode: bot.eventMode,
    countMessage: messages.filter(({ authorId }) => authorId === bot.id).length,
    countCommand: portal.bots.commands().filter(({ botId }) => botId === bot.id).length,
    countChat: chats.length,
    countUser: new Set(messages.map(({ authorId }) => authorId).filter((id) => id !== bot.id)).size,
  }
}

/** The bot's user. */
export function shownBotUser({ id, profile }: Bot): JsonObject {
  const { firstName, lastName, workPosition, gender } = profile
  return userFields(id, { firstName, lastName, workPosition, gender }, true)
}

function addressed(parts: EventParts, { id, code, owner }: Bot): JsonObject {
  if (owner.installation === undefined) return { id, code }
  const auth = authOf(parts.authority, owner.installation, { userId: id, withRefreshToken: true })
  return { id, code, auth: auth as JsonObject }
}

function messageOf(kind: BotNews['kind'], message: ChatMessage | undefined): JsonObject {
  if (message === undefined) return {}
  if (kind === 'MESSAGEDELETE') return { messageId: message.id }
  return {
    message: {
      id: message.id,
      chatId: message.chatId,
      authorId: message.authorId,
      date: isoTime(message.atMs),
      text: message.text,
      isSystem: message.system,
      uuid: '',
      forward: null,
      params: {},
      viewedByOthers: false,
    },
  }
}

function shownChat(chat: Chat, botId: number): JsonObject {
  return {
    id: chat.id,
    dialogId: dialogIdFor(chat, botId),
    type: chat.type === 'private' ? 'private' : 'chat',
    name: chat.title,
    entityType: '',
    owner: chat.ownerId,
    avatar: '',
    color: '#ab7761',
  }
}

function shownUser(portal: Portal, id: number): JsonObject {
  const user = portal.data.user.get(id)
  const words = {
    firstName: String(user?.NAME ?? ''),
    lastName: String(user?.LAST_NAME ?? ''),
    workPosition: String(user?.WORK_POSITION ?? ''),
    gender: 'M',
  }
  return userFields(id, words, false)
}

function userFields(id: number, words: Bot['profile'], bot: boolean): JsonObject {
  const departments: Json = [1]
  return {
    id,
    active: true,
    name: `${words.firstName} ${words.lastName}`.trim(),
    ...words,
    color: '#df532d',
    avatar: '',
    birthday: '',
    extranet: false,
    bot,
    connector: false,
    externalAuthId: bot ? 'bot' : 'default',
    status: 'online',
    idle: false,
    absent: false,
    departments,
    phones: false,
    type: bot ? 'bot' : 'employee',
  }
}
