import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { PlacementHandler } from '../apps/registrations.ts'
import { installationOf, requireAdmin, text } from '../caller.ts'
import { argumentFault, RestFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import { placementCodes, placementRule } from './placement-codes.ts'

const SCOPES = ['placement']
const WORDS = ['TITLE', 'DESCRIPTION', 'GROUP_NAME'] as const

/**
 * Pages of an application at places of the portal.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/placement-bind.html
 */
export const PLACEMENT_METHODS: MethodTable = {
  'placement.bind': { scopes: SCOPES, application: true, run: bind },
  'placement.unbind': { scopes: SCOPES, application: true, run: unbind },
  'placement.get': { scopes: SCOPES, application: true, run: get },
  'placement.list': { scopes: SCOPES, application: true, run: list },
}

function bind(call: Call): Answer {
  const { registered, application } = installationOf(call)
  requireAdmin(call)
  const placement = codeOf(call)
  if (placement === 'DEFAULT') throw argumentFault('PLACEMENT', 'The placement code has an incorrect value')
  const handler = text(call, 'HANDLER')
  if (handler === '') throw argumentFault('HANDLER', "Argument 'HANDLER' is null or empty")
  checkHandlerUrl(handler)
  const rule = placementRule(placement, call.credential.scopes)
  if (rule === undefined) throw new RestFault('ERROR_PLACEMENT_NOT_FOUND', 'Placement not found')
  const userId = Math.max(0, Number(text(call, 'USER_ID')) || 0)
  if (userId > 0 && rule.userMode !== true)
    throw new RestFault('ERROR_PLACEMENT_USER_MODE', 'User mode is not available.')
  const others = registered.placements.filter(
    (known) => known.placement === placement && (known.userId === 0 || known.userId === userId),
  )
  if (rule.maxCount !== undefined && others.length >= rule.maxCount)
    throw new RestFault('ERROR_PLACEMENT_MAX_COUNT', `Placement max count: ${rule.maxCount}`)
  const options = optionsOf(call)
  if (placement === 'PAGE_BACKGROUND_WORKER' && !options.errorHandlerUrl)
    return { result: { error: 'EMPTY_ERROR_HANDLER_URL', error_description: 'Error handler URL is empty' } }
  if (others.some((known) => known.handler === handler && known.userId === userId))
    throw new RestFault('ERROR_CORE', 'Unable to set placement handler: Handler already binded')
  const langAll = wordsOf(call)
  const [first] = Object.values(langAll)
  const words = isJsonObject(first) ? first : {}
  const bound: PlacementHandler = {
    id: call.portal.nextHandlerId(),
    placement,
    handler,
    userId,
    title: String(words.TITLE ?? application.title),
    description: String(words.DESCRIPTION ?? ''),
    options,
    langAll,
  }
  registered.placements = [...registered.placements, bound]
  return { result: true }
}

/** Without a handler all of the place go. Each counts twice: it was found, and it was deleted. */
function unbind(call: Call): Answer {
  const { registered } = installationOf(call)
  requireAdmin(call)
  const placement = codeOf(call)
  const [handler, userId] = [text(call, 'HANDLER'), text(call, 'USER_ID')]
  const goes = (known: PlacementHandler) =>
    known.placement === placement &&
    (handler === '' || known.handler === handler) &&
    (userId === '' || known.userId === Number(userId))
  const kept = registered.placements.filter((known) => !goes(known))
  const count = 2 * (registered.placements.length - kept.length)
  registered.placements = kept
  return { result: { count } }
}

function get(call: Call): Answer {
  const { registered } = installationOf(call)
  requireAdmin(call)
  return { result: registered.placements.map((bound) => ({ ...bound })) }
}

/** Any user may ask. */
function list(call: Call): Answer {
  const scope = text(call, 'SCOPE')
  if (scope !== '') return { result: placementCodes([scope]).filter((code) => isOf(code, scope)) }
  const full = param(call.params, 'FULL')
  return { result: placementCodes(full && full !== '0' ? 'all' : call.credential.scopes) }
}

function isOf(code: string, scope: string): boolean {
  return placementRule(code, new Set([scope]))?.scope === scope
}

function codeOf(call: Call): string {
  const code = text(call, 'PLACEMENT').toUpperCase()
  if (code === '') throw argumentFault('PLACEMENT', "Argument 'PLACEMENT' is null or empty")
  return code
}

function optionsOf({ params }: Call): JsonObject {
  const options = param(params, 'OPTIONS')
  return isJsonObject(options) ? options : {}
}

/** By language; without `LANG_ALL` what was given stands under the first. */
function wordsOf(call: Call): JsonObject {
  const all = param(call.params, 'LANG_ALL')
  if (isJsonObject(all) && Object.keys(all).length > 0) {
    return Object.fromEntries(
      Object.entries(all).map(([language, words]) => [language, wordsIn((name) => wordIn(words, name))]),
    )
  }
  const given = wordsIn((name) => text(call, name).trim() || undefined)
  return Object.keys(given).length > 0 ? { en: given } : {}
}

function wordsIn(word: (name: string) => string | undefined): JsonObject {
  const words: Record<string, Json> = {}
  for (const name of WORDS) {
    const found = word(name)
    if (found !== undefined) words[name] = found
  }
  return words
}

function wordIn(words: Json, name: string): string {
  return isJsonObject(words) ? String(words[name] ?? '').trim() : ''
}
