import { isJsonObject } from '../../model/json.ts'
import { RestFault } from '../errors.ts'
import { idOf } from '../filter.ts'
import { commentAdded, note } from '../happenings.ts'
import type { Answer, Call, MethodTable } from '../method.ts'
import { isoTime } from '../time.ts'

/**
 * Comments of tasks. Parameters go by position, not by name: the task's id, then the comment's fields; any parameter
 * more shifts them and is refused.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
 */
export const TASK_COMMENT_METHODS: MethodTable = {
  'task.commentitem.add': { scopes: ['task', 'tasks'], run: add },
}

function add(call: Call): Answer {
  const given = call.positional()
  const [task, fields] = given
  if (given.length !== 2 || !/^\d+$/.test(String(task))) throw wrong(0, 'taskId', 'integer')
  if (!isJsonObject(fields)) throw wrong(1, 'fields', 'array')
  if (call.portal.data.task.get(idOf(task ?? 0)) === undefined)
    throw new RestFault('ERROR_CORE', 'Task not found or access denied.')
  if (!fields.POST_MESSAGE) throw new RestFault('ERROR_CORE', 'POST_MESSAGE is not specified.')
  const row = {
    TASK_ID: String(task),
    AUTHOR_ID: String(call.credential.userId),
    ...fields,
    POST_DATE: isoTime(call.exchange.startMs),
  }
  const id = call.portal.data.comment.insert(row)
  call.portal.wrote('task.commentitem.add', id, { TITLE: fields.POST_MESSAGE })
  note(call, commentAdded(id, idOf(task ?? 0)))
  return { result: id }
}

function wrong(position: number, name: string, type: string): RestFault {
  const method = 'ctaskcommentitem::add()'
  const text = `Param #${position} (${name}) for method ${method} expected to be of type "${type}", but given something else.`
  return new RestFault('WRONG_ARGUMENTS', text)
}
