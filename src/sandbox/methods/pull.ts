import { isJsonObject, type Json } from '../../model/json.ts'
import { isAdmin, text } from '../caller.ts'
import { RestFault } from '../errors.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { configOf } from '../push/config.ts'

/**
 * Push & Pull of an application.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/index.html
 */
export const PULL_METHODS: MethodTable = {
  'pull.application.config.get': { scopes: ['pull'], run: config },
  'pull.application.event.add': { scopes: ['pull'], run: addEvent },
  'pull.application.push.add': { scopes: ['pull'], run: addPush },
}

const ONLY_APPLICATIONS = {
  config: 'Get access to application config available only for application authorization.',
  push: 'Send push notifications available only for application authorization.',
}

/** `CACHE` and `REOPEN` change nothing: there is no older answer, and an ended channel always gets a successor. */
function config(call: Call): Answer {
  const clientId = applicationOf(call, ONLY_APPLICATIONS.config)
  const { push, url } = call.portal
  if (push.habits.pushServer === 'none') throw notConfigured()
  return { result: configOf(push, { clientId, userId: call.credential.userId }, url) }
}

/** https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-event-add.html */
function addEvent(call: Call): Answer {
  const clientId = applicationOf(call, ONLY_APPLICATIONS.config)
  const moduleId = text(call, 'MODULE_ID') || 'application'
  const command = text(call, 'COMMAND')
  if (/[^a-z0-9._]/.test(moduleId)) throw new RestFault('MODULE_ID_ERROR', 'Module ID format error')
  if (!/^[\w:|.-]+$/.test(command)) throw new RestFault('COMMAND_ERROR', 'Command format error')
  const params = paramsOf(param(call.params, 'PARAMS'))
  const userIds = receiversOf(call)
  if (call.portal.push.habits.pushServer === 'none') throw notConfigured()
  const owners = (userIds ?? [0]).map((userId) => ({ clientId, userId }))
  if (owners.length > 0) call.portal.push.publish(owners, { moduleId, command, params })
  return { result: true }
}

/** https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-push-add.html */
function addPush(call: Call): Answer {
  const clientId = applicationOf(call, ONLY_APPLICATIONS.push)
  if (!isAdmin(call)) throw new RestFault('ACCESS_ERROR', 'You do not have access to send push notifications')
  const userIds = idsOf(param(call.params, 'USER_ID'))
  if (userIds.length === 0) {
    const argument = 'USER_ID'
    throw new RestFault('ERROR_ARGUMENT', `Argument '${argument}' is null or empty`, 400, { argument })
  }
  const words = text(call, 'TEXT')
  if (words === '') throw new RestFault('TEXT_ERROR', 'Text can not be empty')
  if (call.credential.installation?.application.title === '')
    throw new RestFault('EMPTY_APP_NAME', 'The application has no name')
  call.portal.push.record.notified({ clientId, userIds, text: words, avatar: text(call, 'AVATAR') })
  return { result: true }
}

/** Numbers of users who exist; 0 is all of them. `undefined` when the call names nobody. */
function receiversOf(call: Call): number[] | undefined {
  const given = param(call.params, 'USER_ID')
  if (given === undefined || given === null || given === '') return undefined
  const ids = idsOf(given)
  if (!isAdmin(call) && ids.some((id) => id !== call.credential.userId))
    throw new RestFault('USER_ID_ACCESS_ERROR', 'Only admin can send notifications to other users')
  return ids.filter((id) => id === 0 || call.portal.data.user.get(id) !== undefined)
}

function idsOf(given: Json | undefined): number[] {
  const list = isJsonObject(given) ? Object.values(given) : Array.isArray(given) ? given : [given]
  return [...new Set(list.map(Number))].filter((id) => Number.isSafeInteger(id) && id >= 0)
}

function paramsOf(given: Json | undefined): Json {
  if (given === undefined || given === null || given === '') return []
  const value = typeof given === 'string' ? parseJson(given) : given
  if (typeof value !== 'object' || value === null) throw new RestFault('PARAMS_ERROR', 'Params format error')
  return value
}

function parseJson(text: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch {
    return null
  }
}

function applicationOf({ credential }: Call, refusal: string): string {
  if (credential.installation === undefined) throw new RestFault('WRONG_AUTH_TYPE', refusal, 403)
  return credential.installation.application.clientId
}

function notConfigured(): RestFault {
  return new RestFault('SERVER_ERROR', 'Push & Pull server is not configured', 500)
}
