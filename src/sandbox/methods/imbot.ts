import { isJsonObject, type JsonObject } from '../../model/json.ts'
import type { Bot, BotProfile } from '../apps/bots.ts'
import { newApplicationToken } from '../apps/installations.ts'
import { text } from '../caller.ts'
import { RestFault } from '../errors.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { bindHandlers, checkBotUrl, LEGACY_FAULTS, ownBot, ownerOf } from './bot-owner.ts'

const SCOPES = ['imbot']
const MOST_BOTS = 5

/**
 * Chat bots of version 1, deprecated but alive. Handlers of a bot are event handlers of its application.
 *
 * https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/bots/imbot-register.html
 */
export const BOT_METHODS: MethodTable = {
  'imbot.register': { scopes: SCOPES, run: register },
  'imbot.update': { scopes: SCOPES, run: update },
  'imbot.unregister': { scopes: SCOPES, run: unregister },
  'imbot.bot.list': { scopes: SCOPES, run: list },
}

/** A second time answers with the bot there is. */
function register(call: Call): Answer {
  const { bots } = call.portal
  const owner = ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS)
  const type = text(call, 'TYPE').toUpperCase() || 'B'
  const openline = type === 'O' || text(call, 'OPENLINE') === 'Y'
  const urls = handlerUrls(call.params, openline || type === 'S')
  const code = text(call, 'CODE')
  if (code === '') throw new RestFault('CODE_ERROR', "Bot code isn't specified")
  const given = param(call.params, 'PROPERTIES')
  const profile = profileIn(isJsonObject(given) ? given : {})
  if (`${profile.firstName}${profile.lastName}` === '')
    throw new RestFault('NAME_ERROR', "Bot name isn't specified")
  const own = bots.ofOwner(owner.key)
  const known = own.find((bot) => bot.code === code)
  if (known !== undefined) return { result: known.id }
  if (own.length >= MOST_BOTS)
    throw new RestFault(
      'MAX_COUNT_ERROR',
      `Has reached the maximum number of bots for application (max: ${MOST_BOTS})`,
    )
  const handlers = bindHandlers(call, owner, urls)
  const applicationToken = own[0]?.applicationToken ?? newApplicationToken()
  const bot = { code, owner, version: 1, type, openline, profile, eventMode: 'webhook', handlers } as const
  return { result: bots.add({ ...bot, applicationToken }).id }
}

function update(call: Call): Answer {
  const owner = ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS)
  const bot = ownBot(call, owner, text(call, 'BOT_ID'), LEGACY_FAULTS)
  const fields = param(call.params, 'FIELDS')
  if (!isJsonObject(fields) || Object.keys(fields).length === 0)
    throw new RestFault('WRONG_REQUEST', "Bot can't be updated")
  const urls = handlerUrls(fields, bot.openline || bot.type === 'S', true)
  const added = bindHandlers(call, owner, urls)
  bot.handlers = [...bot.handlers.filter(({ event }) => urls[event] === undefined), ...added]
  const given = param(fields, 'PROPERTIES')
  if (isJsonObject(given)) bot.profile = profileIn(given, bot.profile)
  return { result: true }
}

function unregister(call: Call): Answer {
  const bot = ownBot(call, ownerOf(call, 'CLIENT_ID', LEGACY_FAULTS), text(call, 'BOT_ID'), LEGACY_FAULTS)
  call.portal.bots.remove(bot, call.credential.userId)
  return { result: true }
}

function list(call: Call): Answer {
  const shown = ({ id, code, openline, profile }: Bot): JsonObject => ({
    ID: id,
    NAME: `${profile.firstName} ${profile.lastName}`.trim(),
    CODE: code,
    OPENLINE: openline ? 'Y' : 'N',
  })
  const bots = call.portal.bots.all().map((bot) => [bot.id, shown(bot)] as const)
  return { result: bots.length === 0 ? [] : Object.fromEntries(bots) }
}

const NEEDED = {
  MESSAGE_ADD: ['ONIMBOTMESSAGEADD', 'Message add'],
  WELCOME_MESSAGE: ['ONIMBOTJOINCHAT', 'Welcome message'],
  BOT_DELETE: ['ONIMBOTDELETE', 'Bot delete'],
} as const
const EDITS = { MESSAGE_UPDATE: ['ONIMBOTMESSAGEUPDATE'], MESSAGE_DELETE: ['ONIMBOTMESSAGEDELETE'] } as const

/** Addresses by event. Ordinary bots are never told of changed and deleted messages. */
function handlerUrls(params: JsonObject, withEdits: boolean, optional = false): Record<string, string> {
  const urls: Record<string, string> = {}
  const everything = String(param(params, 'EVENT_HANDLER') ?? '')
  for (const [name, [event, title]] of Object.entries<readonly [string, string?]>({ ...NEEDED, ...EDITS })) {
    const url = everything || String(param(params, `EVENT_${name}`) ?? '')
    const error = `EVENT_${name}_ERROR`
    if (url === '' && title !== undefined && !optional)
      throw new RestFault(error, `Handler for "${title}" event isn't specified`)
    if (url !== '') checkBotUrl(url, error)
    if (url !== '' && (title !== undefined || withEdits)) urls[event] = url
  }
  return urls
}

function profileIn(given: JsonObject, before?: BotProfile): BotProfile {
  const word = (name: string, known = '') => String(param(given, name) ?? known)
  return {
    firstName: word('NAME', before?.firstName),
    lastName: word('LAST_NAME', before?.lastName),
    workPosition: word('WORK_POSITION', before?.workPosition),
    gender: word('PERSONAL_GENDER', before?.gender),
  }
}
