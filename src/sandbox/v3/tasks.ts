import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import { type FieldType, idOf } from '../filter.ts'
import { note, taskChange } from '../happenings.ts'
import type { Answer, Call, MethodTable } from '../method.ts'
import { newTask } from '../methods/tasks.ts'
import type { Row } from '../table.ts'
import { isoTime } from '../time.ts'
import { type FieldFault, invalid } from './errors.ts'
import { idParam, notFound } from './items.ts'
import { filterOf, orderOf, pageOf, type Shape, selectOf } from './query.ts'

const SCOPES = ['task', 'tasks']

/**
 * Tasks: the same ones that the older version knows, in camelCase both ways, with numbers as ids.
 *
 * https://apidocs.bitrix24.com/api-reference/tasks/fields-rest-v3.html
 */
export const V3_TASK_METHODS: MethodTable = {
  'tasks.task.get': { scopes: SCOPES, run: get },
  'tasks.task.list': { scopes: SCOPES, run: list },
  'tasks.task.add': { scopes: SCOPES, writes: true, run: add },
  'tasks.task.update': { scopes: SCOPES, writes: true, run: update },
  'tasks.task.delete': { scopes: SCOPES, writes: true, run: remove },
}

interface Field {
  readonly stored: string
  readonly type: FieldType
  /** Only the portal writes it. */
  readonly readOnly?: boolean
  /** Words for the stored numbers. */
  readonly words?: Readonly<Record<string, string>>
}

const FIELDS: Readonly<Record<string, Field>> = {
  id: { stored: 'ID', type: 'integer', readOnly: true },
  title: { stored: 'TITLE', type: 'string' },
  description: { stored: 'DESCRIPTION', type: 'string' },
  creatorId: { stored: 'CREATED_BY', type: 'integer' },
  responsibleId: { stored: 'RESPONSIBLE_ID', type: 'integer' },
  groupId: { stored: 'GROUP_ID', type: 'integer' },
  parentId: { stored: 'PARENT_ID', type: 'integer' },
  deadline: { stored: 'DEADLINE', type: 'datetime' },
  priority: { stored: 'PRIORITY', type: 'string', words: { 0: 'low', 1: 'average', 2: 'high' } },
  status: {
    stored: 'STATUS',
    type: 'string',
    words: { 2: 'pending', 3: 'in_progress', 4: 'supposedly_completed', 5: 'completed', 6: 'deferred' },
  },
  created: { stored: 'CREATED_DATE', type: 'datetime', readOnly: true },
  changed: { stored: 'CHANGED_DATE', type: 'datetime', readOnly: true },
  closed: { stored: 'CLOSED_DATE', type: 'datetime', readOnly: true },
  xmlId: { stored: 'XML_ID', type: 'string' },
}

const TASK: Shape = {
  name: 'TaskDto',
  fields: Object.fromEntries(Object.entries(FIELDS).map(([name, { type }]) => [name, type])),
  relations: { creator: ['id', 'name', 'email'], responsible: ['id', 'name', 'email'] },
  hidden: new Set(['creatorId', 'responsibleId', 'groupId', 'created']),
}

/** Rows that one page of tasks has at most. */
const MOST_ROWS = 50

function get(call: Call): Answer {
  const id = idParam(call)
  return { result: { item: selected(call)(item(existing(call, id))) } }
}

function list(call: Call): Answer {
  const { filter, order, pagination } = call.params
  const { task } = call.portal.data
  const test = filterOf(TASK, filter)
  const found = [...task.ids(1, task.lastId, false)].map((id) => item(task.get(id) ?? {})).filter(test)
  const page = found.sort(orderOf(TASK, order)).slice(...pageOf(pagination, MOST_ROWS))
  return { result: { items: page.map(selected(call)) } }
}

function add(call: Call): Answer {
  const { portal, credential } = call
  const fields = stored(call, ['title', 'creatorId', 'responsibleId'])
  const row = newTask(fields, credential.userId, isoTime(call.exchange.startMs))
  const id = portal.data.task.insert(row)
  portal.wrote('tasks.task.add', id, row)
  note(call, taskChange('ADD', id))
  return { result: { item: selectOf(TASK, undefined)(item(existing(call, id))) } }
}

function update(call: Call): Answer {
  const id = idParam(call)
  const fields = stored(call, [])
  existing(call, id)
  call.portal.data.task.update(id, { ...fields, CHANGED_DATE: isoTime(call.exchange.startMs) })
  call.portal.wrote('tasks.task.update', id, existing(call, id))
  note(call, taskChange('UPDATE', id))
  return { result: { result: true } }
}

function remove(call: Call): Answer {
  const id = idParam(call)
  const row = existing(call, id)
  call.portal.data.task.remove(id)
  call.portal.wrote('tasks.task.delete', id, row)
  note(call, taskChange('DELETE', id))
  return { result: { result: true } }
}

function existing({ portal }: Call, id: number): Row {
  const row = portal.data.task.get(id)
  if (row === undefined) throw notFound(id)
  return row
}

function selected(call: Call): (item: JsonObject) => JsonObject {
  return selectOf(TASK, call.params.select, (task, relation) => {
    const user = call.portal.data.user.get(idOf(task[`${relation}Id`] ?? 0)) ?? {}
    return { id: idOf(user.ID ?? 0), name: user.NAME ?? null, email: user.EMAIL ?? null }
  })
}

function item(row: Row): JsonObject {
  return Object.fromEntries(
    Object.entries(FIELDS).map(([name, { stored: from, type, words }]): [string, Json] => {
      const value = row[from] ?? null
      if (words !== undefined) return [name, words[String(value)] ?? null]
      return [name, type === 'integer' ? idOf(value ?? 0) || null : value]
    }),
  )
}

/** `fields` as they are stored. Throws for what is missing, unknown, read-only or of another type. */
function stored({ params: { fields } }: Call, required: readonly string[]): Row {
  if (!isJsonObject(fields))
    throw invalid([{ field: 'fields', message: 'Required field `fields` is missing' }])
  const faults: FieldFault[] = required
    .filter((field) => fields[field] === undefined || fields[field] === null || fields[field] === '')
    .map((field) => ({ field, message: `Required field \`${field}\` is missing` }))
  const row: Row = {}
  for (const [name, value] of Object.entries(fields)) {
    const field = FIELDS[name]
    if (field === undefined || field.readOnly === true) continue
    const wrong = wrongType(field, value)
    if (wrong !== undefined)
      faults.push({
        field: name,
        message: `Field \`${name}\` requires data type \`${wrong}\` for this request`,
      })
    else row[field.stored] = storedValue(field, value)
  }
  if (faults.length > 0) throw invalid(faults)
  return row
}

function wrongType({ type, words }: Field, value: Json): string | undefined {
  if (value === null) return undefined
  if (type === 'integer') return Number.isInteger(value) ? undefined : 'int'
  if (type === 'datetime')
    return typeof value === 'string' && !Number.isNaN(Date.parse(value)) ? undefined : 'DateTime'
  if (typeof value !== 'string') return 'string'
  return words === undefined || Object.values(words).includes(value) ? undefined : 'string'
}

function storedValue({ words }: Field, value: Json): Json {
  if (words === undefined) return typeof value === 'number' ? String(value) : value
  return Object.keys(words).find((number) => words[number] === value) ?? value
}
