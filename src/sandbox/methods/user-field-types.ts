import { isJsonObject, type JsonObject } from '../../model/json.ts'
import type { FieldType } from '../apps/registrations.ts'
import { installationOf, requireAdmin, text } from '../caller.ts'
import { argumentFault, RestFault } from '../errors.ts'
import { checkHandlerUrl } from '../handler-url.ts'
import { parseStart } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'

const SCOPES = ['placement']
const PAGE = 50
const LONGEST_CODE = 50

/**
 * Types of user fields that a page of the application shows; the page opens as placement `USERFIELD_TYPE`.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/user-field/userfieldtype-add.html
 */
export const FIELD_TYPE_METHODS: MethodTable = {
  'userfieldtype.add': { scopes: SCOPES, application: true, run: add },
  'userfieldtype.update': { scopes: SCOPES, application: true, run: update },
  'userfieldtype.delete': { scopes: SCOPES, application: true, run: remove },
  'userfieldtype.list': { scopes: SCOPES, application: true, run: list },
}

function add(call: Call): Answer {
  const { registered, id: applicationId } = installationOf(call)
  requireAdmin(call)
  const id = idOf(call)
  if (!/^[a-z0-9_]+$/.test(id) || `rest_${applicationId}_${id}`.length > LONGEST_CODE)
    throw argumentFault(
      'USER_TYPE_ID',
      "Argument 'USER_TYPE_ID' must be short and of small letters and digits",
    )
  const handler = text(call, 'HANDLER')
  if (handler === '') throw argumentFault('HANDLER', "Argument 'HANDLER' is null or empty")
  checkHandlerUrl(handler)
  if (registered.fieldTypes.some((known) => known.id === id || known.handler === handler))
    throw alreadyBound()
  const fieldType = { id, handler, title: '', description: '', options: {}, ...wordsOf(call) }
  registered.fieldTypes = [...registered.fieldTypes, fieldType]
  return { result: true }
}

function update(call: Call): Answer {
  const { registered } = installationOf(call)
  requireAdmin(call)
  const fieldType = find(call)
  const handler = text(call, 'HANDLER') || fieldType.handler
  checkHandlerUrl(handler)
  if (registered.fieldTypes.some((known) => known !== fieldType && known.handler === handler))
    throw alreadyBound()
  const changed = { ...fieldType, handler, ...wordsOf(call) }
  registered.fieldTypes = registered.fieldTypes.map((known) => (known === fieldType ? changed : known))
  return { result: true }
}

function remove(call: Call): Answer {
  const { registered } = installationOf(call)
  requireAdmin(call)
  const fieldType = find(call)
  registered.fieldTypes = registered.fieldTypes.filter((known) => known !== fieldType)
  return { result: true }
}

/** The latest first. */
function list(call: Call): Answer {
  const types = installationOf(call).registered.fieldTypes.toReversed()
  const start = Math.max(0, parseStart(call.params.start))
  const shown = ({ id, handler, title, description }: FieldType): JsonObject => ({
    USER_TYPE_ID: id,
    HANDLER: handler,
    TITLE: title,
    DESCRIPTION: description,
  })
  return {
    result: types.slice(start, start + PAGE).map(shown),
    total: types.length,
    ...(types.length > start + PAGE ? { next: start + PAGE } : {}),
  }
}

function find(call: Call): FieldType {
  const id = idOf(call)
  const known = installationOf(call).registered.fieldTypes.find((each) => each.id === id)
  if (known === undefined) throw new RestFault('ERROR_NOT_FOUND', 'User Field Type not found')
  return known
}

function idOf(call: Call): string {
  const id = text(call, 'USER_TYPE_ID').toLowerCase()
  if (id === '') throw argumentFault('USER_TYPE_ID', "Argument 'USER_TYPE_ID' is null or empty")
  return id
}

/** What was given of title, description and options. */
function wordsOf(call: Call): Partial<FieldType> {
  const [title, description] = [text(call, 'TITLE'), text(call, 'DESCRIPTION')]
  const options = param(call.params, 'OPTIONS')
  return {
    ...(title === '' ? {} : { title }),
    ...(description === '' ? {} : { description }),
    ...(isJsonObject(options) ? { options } : {}),
  }
}

function alreadyBound(): RestFault {
  return new RestFault('ERROR_CORE', 'Unable to set placement handler: Handler already binded')
}
