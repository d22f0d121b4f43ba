import { isJsonObject, type JsonObject } from '../../model/json.ts'
import type { Bot, BotProfile } from '../apps/bots.ts'
import { newApplicationToken } from '../apps/installations.ts'
import { shownBot, shownBotUser, V2_EVENTS } from '../apps/v2-bot-events.ts'
import { text } from '../caller.ts'
import { RestFault, systemFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { type BotFaults, ownBot, ownerOf } from './bot-owner.ts'

const SCOPES = ['imbot']
const TYPES = ['bot', 'network', 'openline', 'supervisor', 'personal']
const MOST_BOTS = 100
const LONGEST_TEXT = 20_000

const FAULTS: BotFaults = {
  noOwner: () => new RestFault('BOT_TOKEN_NOT_SPECIFIED', 'Bot token is not specified'),
  noBot: () => new RestFault('BOT_NOT_FOUND', 'Bot not found'),
  foreign: () => new RestFault('BOT_OWNERSHIP_ERROR', 'Bot is registered by another application', 403),
}

/**
 * Chat bots of version 2, which fetch their events or have them posted.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/index.html
 */
export const BOT_V2_METHODS: MethodTable = {
  'imbot.v2.bot.register': { scopes: SCOPES, run: register },
  'imbot.v2.bot.update': { scopes: SCOPES, run: update },
  'imbot.v2.bot.get': { scopes: SCOPES, run: (call) => ({ result: shown(call, botIn(call)) }) },
  'imbot.v2.bot.list': { scopes: SCOPES, run: list },
  'imbot.v2.bot.unregister': { scopes: SCOPES, run: unregister },
  'imbot.v2.command.register': { scopes: SCOPES, run: registerCommand },
  'imbot.v2.event.get': { scopes: SCOPES, run: getEvents },
  'imbot.v2.chat.message.send': { scopes: SCOPES, run: send },
  'imbot.v2.chat.inputaction.notify': { scopes: SCOPES, run: notify },
}

/** A second time answers with the bot there is, unchanged. */
function register(call: Call): Answer {
  const { bots } = call.portal
  const fields = fieldsOf(call)
  const owner = ownerOf({ ...call, params: fields }, 'botToken', FAULTS)
  const code = String(fields.code ?? '')
  if (code === '') throw new RestFault('BOT_CODE_REQUIRED', 'Bot code is required')
  const profile = isJsonObject(fields.properties) ? profileIn(fields.properties) : undefined
  if (profile === undefined || profile.firstName === '')
    throw new RestFault('BOT_PROPERTIES_REQUIRED', 'Bot properties are required')
  const type = String(fields.type ?? 'bot')
  if (!TYPES.includes(type)) throw new RestFault('BOT_INVALID_TYPE', 'Invalid bot type')
  const eventMode = modeIn(fields) ?? 'fetch'
  const own = bots.ofOwner(owner.key)
  const known = own.find((bot) => bot.code === code)
  if (known !== undefined) return { result: shown(call, known) }
  if (own.length >= MOST_BOTS) throw new RestFault('BOT_LIMIT_EXCEEDED', 'Bot limit exceeded')
  const handlers = eventMode === 'webhook' ? handlersFor(call, webhookIn(fields)) : []
  const openline = type === 'openline' || fields.isSupportOpenline === true
  const applicationToken = newApplicationToken()
  const made = { code, owner, version: 2, type, openline, profile, eventMode, handlers } as const
  return { result: shown(call, bots.add({ ...made, applicationToken })) }
}

/** Events go to the new address from now on; those that wait to be fetched are gone with the change of mode. */
function update(call: Call): Answer {
  const bot = botIn(call)
  const fields = fieldsOf(call)
  const eventMode = modeIn(fields) ?? bot.eventMode
  if (eventMode === 'webhook' && (fields.webhookUrl !== undefined || bot.handlers.length === 0))
    bot.handlers = handlersFor(call, webhookIn(fields))
  if (eventMode === 'fetch') bot.handlers = []
  else bot.queue = []
  bot.eventMode = eventMode
  if (isJsonObject(fields.properties)) bot.profile = profileIn(fields.properties, bot.profile)
  return { result: shown(call, bot) }
}

function list(call: Call): Answer {
  const own = call.portal.bots.ofOwner(ownerOf(call, 'botToken', FAULTS).key)
  const bots = own.filter(({ version }) => version === 2)
  return {
    result: { bots: bots.map((bot) => shownBot(call.portal, bot)), users: bots.map(shownBotUser) },
  }
}

function unregister(call: Call): Answer {
  call.portal.bots.remove(botIn(call), call.credential.userId)
  return { result: true }
}

function registerCommand(call: Call): Answer {
  const bot = botIn(call)
  const { command, isCommon } = fieldsOf(call)
  const word = String(command ?? '').replace(/^\//, '')
  if (!/^\w+$/.test(word)) throw new RestFault('COMMAND_REQUIRED', 'Command is required')
  const { id } = call.portal.bots.addCommand({ botId: bot.id, word, common: isCommon === true })
  return { result: { command: { id, botId: bot.id, command: `/${word}` } } }
}

/**
 * Events that wait, oldest first. `offset` confirms all before it: they are gone; without it nothing is.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/events/event-get.html
 */
function getEvents(call: Call): Answer {
  const bot = botIn(call)
  const offset = Number(text(call, 'offset') || 0)
  const limit = Math.min(1000, Math.max(1, Number(text(call, 'limit') || 100)))
  bot.queue = bot.queue.filter(({ eventId }) => eventId >= offset)
  const events = bot.queue.slice(0, limit)
  const nextOffset = (events.at(-1)?.eventId ?? offset - 1) + 1
  return {
    result: { events: events.map((event) => ({ ...event })), nextOffset, hasMore: bot.queue.length > limit },
  }
}

function send(call: Call): Answer {
  const { chats } = call.portal
  const bot = botIn(call)
  const chat = dialogIn(call, bot)
  const { message, system } = fieldsOf(call)
  const body = String(message ?? '')
  if (body === '') throw new RestFault('EMPTY_MESSAGE', 'Message is empty')
  const said = chats.say(chat, {
    authorId: bot.id,
    text: body.length > LONGEST_TEXT ? `${body.slice(0, LONGEST_TEXT)} (...)` : body,
    system: system === true || system === 'Y',
    atMs: call.portal.now(),
  })
  return { result: { id: said.id, uuidMap: {} } }
}

function notify(call: Call): Answer {
  const bot = botIn(call)
  call.portal.chats.types(dialogIn(call, bot), bot.id)
  return { result: true }
}

function botIn(call: Call): Bot {
  const owner = ownerOf(call, 'botToken', FAULTS)
  const id = text(call, 'botId')
  if (id === '') throw new RestFault('BOT_ID_REQUIRED', 'Bot ID is required')
  return ownBot(call, owner, id, FAULTS)
}

function dialogIn(call: Call, { id }: Bot) {
  const { chats, data } = call.portal
  const dialogId = text(call, 'dialogId')
  const known = chats.find(dialogId, id)
  if (known !== undefined) return known
  if (data.user.get(Number(dialogId)) === undefined) throw systemFault('ACCESS_DENIED', 'Access denied')
  return chats.between(Number(dialogId), id)
}

function fieldsOf({ params }: Call): JsonObject {
  const fields = param(params, 'fields')
  return isJsonObject(fields) ? fields : {}
}

function modeIn({ eventMode }: JsonObject): Bot['eventMode'] | undefined {
  if (eventMode === undefined || eventMode === 'fetch' || eventMode === 'webhook') return eventMode
  throw new RestFault('BOT_INVALID_EVENT_MODE', 'Invalid event mode')
}

function webhookIn({ webhookUrl }: JsonObject): string {
  const url = String(webhookUrl ?? '')
  if (url === '') throw new RestFault('BOT_WEBHOOK_URL_REQUIRED', 'Webhook URL is required')
  try {
    checkHandlerUrl(url)
  } catch {
    throw new RestFault('BOT_INVALID_CALLBACK', 'Invalid callback URL')
  }
  return url
}

function handlersFor({ portal }: Call, url: string): Bot['handlers'] {
  return V2_EVENTS.map((event) => ({
    id: portal.nextHandlerId(),
    event,
    url,
    userId: 0,
    offline: false,
    connector: '',
  }))
}

function profileIn({ name, lastName, workPosition, gender }: JsonObject, before?: BotProfile): BotProfile {
  return {
    firstName: String(name ?? before?.firstName ?? ''),
    lastName: String(lastName ?? before?.lastName ?? ''),
    workPosition: String(workPosition ?? before?.workPosition ?? ''),
    gender: String(gender ?? before?.gender ?? 'M'),
  }
}

function shown({ portal }: Call, bot: Bot): JsonObject {
  return { bot: shownBot(portal, bot), users: [shownBotUser(bot)] }
}
