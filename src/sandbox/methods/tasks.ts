import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { camelName } from '../entities.ts'
import { RestFault } from '../errors.ts'
import { type Condition, type FieldType, idOf, parseFilterKey } from '../filter.ts'
import { note, taskChange } from '../happenings.ts'
import { listRows, parseStart, type Sorting } from '../listing.ts'
import { type Answer, type Call, type MethodTable, param } from '../method.ts'
import type { Row } from '../table.ts'
import { isoTime } from '../time.ts'
import { pageAnswer } from './paging.ts'

const TASK_SCOPES = ['task', 'tasks']

/**
 * Tasks: UPPER_SNAKE names in requests, camelCase in answers, ids as text.
 *
 * https://apidocs.bitrix24.com/api-reference/tasks/index.html
 */
export const TASK_METHODS: MethodTable = {
  'tasks.task.add': { scopes: TASK_SCOPES, run: add },
  'tasks.task.get': { scopes: TASK_SCOPES, run: get },
  'tasks.task.list': { scopes: TASK_SCOPES, run: list },
  'tasks.task.update': { scopes: TASK_SCOPES, run: update },
  'tasks.task.delete': { scopes: TASK_SCOPES, run: remove },
}

const TYPES: Readonly<Record<string, FieldType>> = {
  ID: 'integer',
  PARENT_ID: 'integer',
  TITLE: 'string',
  DESCRIPTION: 'string',
  PRIORITY: 'integer',
  STATUS: 'integer',
  GROUP_ID: 'integer',
  CREATED_BY: 'integer',
  RESPONSIBLE_ID: 'integer',
  CREATED_DATE: 'datetime',
  CHANGED_DATE: 'datetime',
  CLOSED_DATE: 'datetime',
  DEADLINE: 'datetime',
  XML_ID: 'string',
}

/** A task that is not there is answered with an empty result, not with an error. */
function get(call: Call): Answer {
  const row = call.portal.data.task.get(taskId(call))
  return { result: row === undefined ? [] : { task: taskRow(call, row, undefined) } }
}

function add(call: Call): Answer {
  const fields = storedTask(fieldsParam(call))
  const faults = [
    ...(fields.TITLE ? [] : ['Task name is not specified.']),
    ...(fields.RESPONSIBLE_ID ? [] : ['Assignee is not specified.']),
  ]
  if (faults.length > 0) throw new RestFault('ERROR_CORE', `${faults.join('<br>')}<br>`)
  const row = newTask(fields, call.credential.userId, isoTime(call.exchange.startMs))
  const id = call.portal.data.task.insert(row)
  call.portal.wrote('tasks.task.add', id, row)
  note(call, taskChange('ADD', id))
  return { result: { task: taskRow(call, { ...row, ID: String(id) }, undefined) } }
}

function update(call: Call): Answer {
  const id = taskId(call)
  const fields = storedTask(fieldsParam(call))
  const { task } = call.portal.data
  if (!task.update(id, { ...fields, CHANGED_DATE: isoTime(call.exchange.startMs) })) {
    throw new RestFault('0', 'Task not found or access denied.')
  }
  const row = task.get(id) ?? {}
  call.portal.wrote('tasks.task.update', id, row)
  note(call, taskChange('UPDATE', id))
  return { result: { task: taskRow(call, row, undefined) } }
}

/** https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-delete.html */
function remove(call: Call): Answer {
  const id = taskId(call)
  const { task } = call.portal.data
  const row = task.get(id)
  if (row === undefined || !task.remove(id))
    throw new RestFault('1048582', 'Task not found or access denied.')
  call.portal.wrote('tasks.task.delete', id, row)
  note(call, taskChange('DELETE', id))
  return { result: { task: true } }
}

/** https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-list.html */
function list(call: Call): Answer {
  const { params, portal } = call
  const select = selectOf(param(params, 'select'))
  const options = param(params, 'params')
  const uncounted = isJsonObject(options) && options.COUNT_TOTAL === 'N'
  const page = listRows(portal.data.task, {
    conditions: conditionsOf(param(params, 'filter')),
    order: orderOf(param(params, 'order')),
    start: parseStart(params.start),
  })
  const tasks = page.rows.map((row) => taskRow(call, row, select))
  const { total, next, ...answer } = pageAnswer(call, page, { tasks }, 'absent')
  const paging = {
    ...(total === undefined || uncounted ? {} : { total }),
    ...(next === undefined ? {} : { next }),
  }
  return { ...answer, ...paging }
}

function conditionsOf(filter: Json | undefined): Condition[] {
  if (!isJsonObject(filter)) return []
  return Object.entries(filter).flatMap(([key, value]): Condition[] => {
    const { operator, field } = parseFilterKey(key)
    const type = TYPES[field]
    return type === undefined ? [] : [{ operator, field, type, value }]
  })
}

function orderOf(order: Json | undefined): Sorting[] {
  if (!isJsonObject(order)) return []
  return Object.entries(order).map(([field, direction]): Sorting => {
    const type = TYPES[field]
    if (type === undefined) throw new RestFault('0', `Invalid sorting key: ${field}`)
    return { field, type, descending: String(direction).toLowerCase().startsWith('desc') }
  })
}

function selectOf(select: Json | undefined): ReadonlySet<string> | undefined {
  const names = typeof select === 'object' && select !== null ? Object.values(select).map(String) : []
  return names.length === 0 || names.includes('*') ? undefined : new Set(names)
}

/** Without a selection the people stand in it as objects of their own, and a group that is none as `[]`. */
function taskRow({ portal }: Call, row: Row, select: ReadonlySet<string> | undefined): Row {
  const made: Row = { id: row.ID ?? null }
  for (const [name, value] of Object.entries(row)) {
    if (name !== 'ID' && (select === undefined || select.has(name))) made[camelName(name)] = value
  }
  if (select === undefined || select.has('GROUP_ID')) made.group = []
  const person = (id: Json | undefined): Json => {
    const user = portal.data.user.get(idOf(id ?? 0))
    if (user === undefined) return []
    const name = `${user.NAME} ${user.LAST_NAME}`
    return {
      id: user.ID ?? null,
      name,
      link: `/company/personal/user/${user.ID}/`,
      icon: '/bitrix/images/tasks/default_avatar.png',
    }
  }
  if (select === undefined || select.has('CREATED_BY')) made.creator = person(row.CREATED_BY)
  if (select === undefined || select.has('RESPONSIBLE_ID')) made.responsible = person(row.RESPONSIBLE_ID)
  return made
}

const NEW_TASK: Row = {
  PARENT_ID: '0',
  DESCRIPTION: '',
  PRIORITY: '1',
  STATUS: '2',
  GROUP_ID: '0',
  DEADLINE: null,
  CLOSED_DATE: null,
  XML_ID: null,
}

/** A new task: what a person fills in, and what the portal adds. */
export function newTask(fields: Row, userId: number, date: string): Row {
  return { ...NEW_TASK, CREATED_BY: String(userId), ...fields, CREATED_DATE: date, CHANGED_DATE: date }
}

/** Fields as they are stored; unknown ones are dropped. */
export function storedTask(fields: JsonObject): Row {
  const made: Row = {}
  for (const [name, value] of Object.entries(fields)) {
    if (name === 'ID' || (TYPES[name] === undefined && !name.startsWith('UF_'))) continue
    made[name] = typeof value === 'number' || typeof value === 'boolean' ? String(value) : value
  }
  return made
}

function taskId(call: Call): number {
  const id = param(call.params, 'taskId') ?? call.params.id
  if (id === undefined) throw new RestFault('100', 'Could not find value for parameter {taskId}')
  return idOf(id)
}

function fieldsParam(call: Call): JsonObject {
  const fields = param(call.params, 'fields')
  if (!isJsonObject(fields)) throw new RestFault('100', 'Could not find value for parameter {fields}')
  return fields
}
