import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { RestFault } from '../errors.ts'
import { type Condition, type FieldType, idOf, parseFilterKey } from '../filter.ts'
import { note, userAdded } from '../happenings.ts'
import { listRows, parseStart } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import type { Row } from '../table.ts'
import { pageAnswer } from './paging.ts'

const ANY_USER_SCOPE = ['user', 'user_basic', 'user_brief']

/**
 * Employees. Top-level names may be written in any case; filters take prefixes.
 *
 * https://apidocs.bitrix24.com/api-reference/user/user-get.html
 */
export const USER_METHODS: MethodTable = {
  profile: { scopes: [], run: profile },
  'user.current': {
    scopes: ANY_USER_SCOPE,
    run: ({ portal, credential }) => ({ result: portal.data.user.get(credential.userId) ?? [] }),
  },
  'user.admin': { scopes: [], run: ({ credential }) => ({ result: credential.userId === 1 }) },
  'user.get': { scopes: ANY_USER_SCOPE, run: (call) => list(call, '') },
  'user.search': { scopes: ANY_USER_SCOPE, run: (call) => list(call, '%') },
  'user.add': { scopes: ANY_USER_SCOPE, run: add },
  'user.update': { scopes: ANY_USER_SCOPE, run: update },
}

const OWN_PARAMETERS = ['FILTER', 'SORT', 'ORDER', 'START', 'ADMIN_MODE', 'FIND']

/** https://apidocs.bitrix24.com/api-reference/common/users/profile.html */
function profile({ portal, credential }: Call): Answer {
  const user = portal.data.user.get(credential.userId) ?? {}
  return {
    result: {
      ID: String(credential.userId),
      ADMIN: credential.userId === 1,
      NAME: user.NAME ?? '',
      LAST_NAME: user.LAST_NAME ?? '',
      PERSONAL_GENDER: '',
      TIME_ZONE: '',
    },
  }
}

function list(call: Call, namePrefix: '' | '%'): Answer {
  const { params, portal } = call
  const filter = param(params, 'FILTER') ?? otherParameters(params)
  const find = String(
    param(params, 'FIND') ?? (isJsonObject(filter) ? (filter.FIND ?? '') : ''),
  ).toLowerCase()
  const sort = String(param(params, 'SORT') ?? 'ID').toUpperCase()
  const descending = String(param(params, 'ORDER') ?? 'ASC').toUpperCase() === 'DESC'
  const start = parseStart(params.start)
  const page = listRows(portal.data.user, {
    conditions: isJsonObject(filter) ? conditionsOf(filter, namePrefix) : [],
    test:
      find === ''
        ? undefined
        : (row) => `${row.NAME} ${row.LAST_NAME} ${row.EMAIL}`.toLowerCase().includes(find),
    order: [{ field: sort, type: typeOf(sort), descending }],
    start,
  })
  return pageAnswer(call, page, page.rows, 'zero')
}

function otherParameters(params: JsonObject): JsonObject {
  return Object.fromEntries(
    Object.entries(params).filter(([name]) => !OWN_PARAMETERS.includes(name.toUpperCase())),
  )
}

function conditionsOf(filter: JsonObject, namePrefix: '' | '%'): Condition[] {
  return Object.entries(filter).flatMap(([key, value]): Condition[] => {
    const { operator, field: spelled } = parseFilterKey(key)
    const field = spelled.toUpperCase()
    if (!FIELDS.has(field)) return []
    if (field === 'ACTIVE') return [{ operator, field, type: 'string', value: isYes(value) ? 'true' : null }]
    const loose =
      namePrefix === '%' && operator === '=' && typeOf(field) === 'string' && typeof value === 'string'
    return [{ operator: loose ? '%' : operator, field, type: typeOf(field), value }]
  })
}

const FIELDS = new Set([
  'ID',
  'XML_ID',
  'ACTIVE',
  'NAME',
  'LAST_NAME',
  'EMAIL',
  'WORK_POSITION',
  'UF_DEPARTMENT',
  'USER_TYPE',
])

function typeOf(field: string): FieldType {
  return field === 'ID' || field === 'UF_DEPARTMENT' ? 'integer' : 'string'
}

function isYes(value: Json): boolean {
  return value === true || value === 'true' || value === 1 || value === '1' || value === 'Y'
}

/**
 * With the narrow scopes the method itself answers with an error, under status 200.
 *
 * https://apidocs.bitrix24.com/api-reference/user/user-scope.html
 */
function narrowScope({ credential }: Call): Answer | undefined {
  if (credential.scopes.has('user')) return undefined
  const text = 'The request requires higher privileges than provided by the access token'
  return { result: { error: 'insufficient_scope', error_description: text } }
}

function add(call: Call): Answer {
  const denied = narrowScope(call)
  if (denied !== undefined) return denied
  const { portal } = call
  const row = upperRow(call.params)
  if (!row.EMAIL) throw new RestFault('ERROR_CORE', 'Invalid email')
  const id = portal.data.user.insert({ ACTIVE: true, UF_DEPARTMENT: [1], USER_TYPE: 'employee', ...row })
  portal.wrote('user.add', id, row)
  note(call, userAdded(portal.data.user.get(id) ?? {}))
  return { result: id }
}

function update(call: Call): Answer {
  const denied = narrowScope(call)
  if (denied !== undefined) return denied
  const { portal } = call
  const { ID: id, ...row } = upperRow(call.params)
  if (!portal.data.user.update(idOf(id ?? 0), row))
    throw new RestFault('ERROR_CORE', 'User is not found or is not active')
  portal.wrote('user.update', idOf(id ?? 0), row)
  return { result: true }
}

function upperRow(params: JsonObject): Row {
  return Object.fromEntries(Object.entries(params).map(([name, value]) => [name.toUpperCase(), value]))
}
