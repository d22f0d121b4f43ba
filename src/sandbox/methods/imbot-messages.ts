import type { Bot } from '../apps/bots.ts'
import type { Chat } from '../apps/chats.ts'
import { text } from '../caller.ts'
import { RestFault } from '../errors.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { bindHandlers, checkBotUrl, LEGACY_FAULTS, ownBot, ownerOf } from './bot-owner.ts'

const SCOPES = ['imbot']

/**
 * What chat bots of version 1 say, and the commands that they understand.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/messages/imbot-message-add.html
 */
export const BOT_MESSAGE_METHODS: MethodTable = {
  'imbot.command.register': { scopes: SCOPES, run: registerCommand },
  'imbot.command.answer': { scopes: SCOPES, run: answerCommand },
  'imbot.message.add': { scopes: SCOPES, run: addMessage },
  'imbot.chat.sendtyping': { scopes: SCOPES, run: sendTyping },
}

function registerCommand(call: Call): Answer {
  const owner = ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS)
  const url = text(call, 'EVENT_COMMAND_ADD')
  const error = 'EVENT_COMMAND_ADD_ERROR'
  if (url === '') throw new RestFault(error, 'Handler for "Command add" event isn\'t specified')
  checkBotUrl(url, error)
  const word = text(call, 'COMMAND')
  if (!/^\w+$/.test(word)) throw new RestFault('COMMAND_ERROR', "Command isn't specified")
  const bot = ownBot(call, owner, text(call, 'BOT_ID'), LEGACY_FAULTS)
  const languages = param(call.params, 'LANG')
  if (typeof languages !== 'object' || languages === null || Object.keys(languages).length === 0)
    throw new RestFault('LANG_ERROR', "Lang set can't be empty")
  bot.handlers = [...bot.handlers, ...bindHandlers(call, owner, { ONIMCOMMANDADD: url })]
  const common = text(call, 'COMMON') === 'Y'
  return { result: call.portal.bots.addCommand({ botId: bot.id, word, common }).id }
}

/** Writes into the chat in which the command was called. */
function answerCommand(call: Call): Answer {
  const { bots, chats } = call.portal
  const owner = ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS)
  const [id, word] = [Number(text(call, 'COMMAND_ID')), text(call, 'COMMAND')]
  const command = bots.commands().find((known) => (id > 0 ? known.id === id : known.word === word))
  if (command === undefined) throw new RestFault('COMMAND_ID_ERROR', 'Command not found')
  const bot = bots.get(command.botId)!
  if (bot.owner.key !== owner.key)
    throw new RestFault('APP_ID_ERROR', 'Command was installed by another rest application')
  if (text(call, 'MESSAGE_ID') === '') throw new RestFault('MESSAGE_ID_EMPTY', "Message ID can't be empty")
  const chat = chats.message(Number(text(call, 'MESSAGE_ID')))?.chat
  const said = messageOf(call, bot)
  if (chat === undefined) throw new RestFault('WRONG_REQUEST', "Message isn't added")
  return { result: chats.say(chat, said).id }
}

/** Without `BOT_ID` the first bot of the application speaks. */
function addMessage(call: Call): Answer {
  const { bots, chats } = call.portal
  const owner = ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS)
  const id = text(call, 'BOT_ID') || String(bots.ofOwner(owner.key)[0]?.id ?? '')
  const bot = ownBot(call, owner, id, LEGACY_FAULTS)
  const dialogId = text(call, 'DIALOG_ID')
  if (!/^(?:chat)?[1-9]\d*$/.test(dialogId))
    throw new RestFault('DIALOG_ID_EMPTY', "Dialog ID can't be empty")
  const said = messageOf(call, bot)
  const chat = dialogOf(call, bot, dialogId)
  if (chat === undefined) throw new RestFault('WRONG_REQUEST', "Message isn't added")
  return { result: chats.say(chat, said).id }
}

function sendTyping(call: Call): Answer {
  const bot = ownBot(call, ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS), text(call, 'BOT_ID'), LEGACY_FAULTS)
  const chat = dialogOf(call, bot, text(call, 'DIALOG_ID'))
  if (chat === undefined) throw new RestFault('DIALOG_ID_EMPTY', "Dialog ID can't be empty")
  call.portal.chats.types(chat, bot.id)
  return { result: true }
}

/** The chat that a bot means; one with a user of the portal is made when there is none. */
function dialogOf({ portal }: Call, { id }: Bot, dialogId: string): Chat | undefined {
  const known = portal.chats.find(dialogId, id)
  const isUser = portal.data.user.get(Number(dialogId)) !== undefined
  return known ?? (isUser ? portal.chats.between(Number(dialogId), id) : undefined)
}

function messageOf(call: Call, { id }: Bot) {
  const body = text(call, 'MESSAGE').trim()
  if (body === '') throw new RestFault('MESSAGE_EMPTY', "Message can't be empty")
  return { authorId: id, text: body, system: text(call, 'SYSTEM') === 'Y', atMs: call.portal.now() }
}
