import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import type { Robot } from '../apps/registrations.ts'
import { ownApplication, requireAdmin, text } from '../caller.ts'
import { RestFault, systemFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'

const SCOPES = ['bizproc']

/**
 * Robots and activities of an application, and their answers to workflows. Robots and activities share their codes.
 *
 * https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/bizproc-robot-add.html
 */
export const BIZPROC_METHODS: MethodTable = {
  ...methodsOf('robot'),
  ...methodsOf('activity'),
  'bizproc.activity.log': { scopes: SCOPES, run: log },
  'bizproc.event.send': { scopes: SCOPES, run: send },
}

function methodsOf(kind: Robot['kind']): MethodTable {
  return {
    [`bizproc.${kind}.add`]: { scopes: SCOPES, run: (call) => add(call, kind) },
    [`bizproc.${kind}.update`]: { scopes: SCOPES, run: (call) => update(call, kind) },
    [`bizproc.${kind}.delete`]: { scopes: SCOPES, run: (call) => remove(call, kind) },
    [`bizproc.${kind}.list`]: { scopes: SCOPES, run: (call) => list(call, kind) },
  }
}

function add(call: Call, kind: Robot['kind']): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  const given = upperCased(call.params)
  const code = codeOf(call)
  checkHandlerUrl(String(given.HANDLER ?? ''))
  if (isEmpty(given.NAME)) throw invalid('Empty activity NAME!')
  const settings = settingsIn(given)
  if (registered.robots.some((known) => known.code === code))
    throw new RestFault('ERROR_ACTIVITY_ALREADY_INSTALLED', 'Activity or Robot already installed!')
  const robot: Robot = {
    kind,
    code,
    name: '',
    handler: '',
    authUserId: 0,
    useSubscription: '',
    properties: {},
    returnProperties: {},
    placementHandler: '',
    ...settings,
  }
  registered.robots = [...registered.robots, robot]
  return { result: true }
}

function update(call: Call, kind: Robot['kind']): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  const robot = find(call, kind)
  const fields = upperCased(call.params).FIELDS
  const settings = isJsonObject(fields) ? settingsIn(fields) : {}
  if (Object.keys(settings).length === 0) throw invalid('No fields to update')
  registered.robots = registered.robots.map((known) => (known === robot ? { ...known, ...settings } : known))
  return { result: true }
}

function remove(call: Call, kind: Robot['kind']): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  const robot = find(call, kind)
  registered.robots = registered.robots.filter((known) => known !== robot)
  return { result: true }
}

function list(call: Call, kind: Robot['kind']): Answer {
  const { registered } = ownApplication(call)
  requireAdmin(call)
  return { result: registered.robots.filter((known) => known.kind === kind).map(({ code }) => code) }
}

/** Answers `true` whatever became of the workflow; only a token that the portal never signed is refused. */
function send(call: Call): Answer {
  const values = param(call.params, 'RETURN_VALUES')
  const answered = call.portal.workflows.answer(
    text(call, 'EVENT_TOKEN'),
    isJsonObject(values) ? values : {},
    text(call, 'LOG_MESSAGE'),
    call.portal.now(),
  )
  if (!answered) throw systemFault('ACCESS_DENIED')
  return { result: true }
}

function log(call: Call): Answer {
  const token = text(call, 'EVENT_TOKEN')
  const message = text(call, 'LOG_MESSAGE')
  const { workflows } = call.portal
  if (!workflows.note(token, message, call.portal.now())) throw systemFault('ACCESS_DENIED')
  if (message === '') throw new RestFault('ERROR_EMPTY_LOG_MESSAGE', 'Empty log message!')
  return { result: true }
}

function find(call: Call, kind: Robot['kind']): Robot {
  const code = codeOf(call)
  const robot = ownApplication(call).registered.robots.find(
    (known) => known.kind === kind && known.code === code,
  )
  if (robot === undefined) throw new RestFault('ERROR_ACTIVITY_NOT_FOUND', 'Activity or Robot not found!')
  return robot
}

function codeOf(call: Call): string {
  const code = text(call, 'CODE')
  if (code === '') throw invalid('Empty activity code!')
  if (!/^[a-z0-9.\-_]+$/i.test(code)) throw invalid('Wrong activity code!')
  return code
}

/** The settings that were given, checked. */
function settingsIn(given: JsonObject): Partial<Robot> {
  if (given.HANDLER !== undefined) checkHandlerUrl(String(given.HANDLER))
  if (given.FILTER !== undefined && !isEmpty(given.FILTER) && typeof given.FILTER !== 'object')
    throw invalid('Wrong activity FILTER!')
  if (!isEmpty(given.DOCUMENT_TYPE) && !isDocumentType(given.DOCUMENT_TYPE))
    throw invalid('Wrong activity DOCUMENT_TYPE!')
  const placementHandler = placementIn(given)
  return {
    ...(given.HANDLER === undefined ? {} : { handler: String(given.HANDLER) }),
    ...(isEmpty(given.NAME) ? {} : { name: given.NAME ?? '' }),
    ...(given.AUTH_USER_ID === undefined ? {} : { authUserId: Number(given.AUTH_USER_ID) || 0 }),
    ...(given.USE_SUBSCRIPTION === undefined ? {} : { useSubscription: String(given.USE_SUBSCRIPTION) }),
    ...(given.PROPERTIES === undefined ? {} : { properties: propertiesIn(given.PROPERTIES) }),
    ...(given.RETURN_PROPERTIES === undefined
      ? {}
      : { returnProperties: propertiesIn(given.RETURN_PROPERTIES) }),
    ...(placementHandler === undefined ? {} : { placementHandler }),
  }
}

/** Module, class and kind. */
function isDocumentType(value: Json | undefined): boolean {
  return Array.isArray(value) && value.length === 3 && value.every((part) => part !== '')
}

function placementIn(given: JsonObject): string | undefined {
  if (given.USE_PLACEMENT === 'Y' || (given.USE_PLACEMENT === undefined && given.PLACEMENT_HANDLER)) {
    checkHandlerUrl(String(given.PLACEMENT_HANDLER ?? ''))
    return String(given.PLACEMENT_HANDLER)
  }
  return given.USE_PLACEMENT === undefined ? undefined : ''
}

function propertiesIn(given: Json): JsonObject {
  if (Array.isArray(given) && given.length === 0) return {}
  if (!isJsonObject(given)) throw invalid('Wrong properties array!')
  for (const [id, property] of Object.entries(given)) {
    if (!/^[a-z][a-z0-9_]*$/i.test(id)) throw invalid(`Wrong property key (${id})!`)
    if (!isJsonObject(property) || isEmpty(property.NAME)) throw invalid(`Empty property NAME (${id})!`)
  }
  return given
}

/** Names in upper case at every depth; those of properties, which are ids, stay as they are. */
function upperCased(given: JsonObject, keepNames = false): JsonObject {
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const key = keepNames ? name : name.toUpperCase()
      const ids = ['PROPERTIES', 'RETURN_PROPERTIES', 'OPTIONS'].includes(key)
      return [key, isJsonObject(value) ? upperCased(value, ids) : value]
    }),
  )
}

function isEmpty(value: Json | undefined): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length === 0
  return value === undefined || value === null || value === '' || value === '0' || value === 0
}

function invalid(description: string): RestFault {
  return new RestFault('ERROR_ACTIVITY_VALIDATION_FAILURE', description)
}
