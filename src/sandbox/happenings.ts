import type { Note } from './apps/hit.ts'
import type { Call } from './method.ts'
import type { Row } from './table.ts'

/** What was done to an object, as it stands in the names of events. */
export type Act = 'ADD' | 'UPDATE' | 'DELETE'

/** An event that a change stands for. */
export type ChangeEvent = Pick<Note, 'event' | 'data'>

/**
 * A lead, deal, contact, company or product was changed. Its event tells the id and nothing else.
 *
 * https://apidocs.bitrix24.com/api-reference/crm/deals/events/index.html
 */
export function crmChange(entity: string, act: Act, id: number): ChangeEvent {
  return { event: `ONCRM${entity.toUpperCase()}${act}`, data: { FIELDS: { ID: id } } }
}

/**
 * A task was changed. What did not exist is the text `undefined`.
 *
 * https://apidocs.bitrix24.com/api-reference/tasks/events-tasks/index.html
 */
export function taskChange(act: Act, id: number): ChangeEvent {
  return {
    event: `ONTASK${act}`,
    data: {
      FIELDS_BEFORE: act === 'ADD' ? 'undefined' : { ID: id },
      FIELDS_AFTER: act === 'DELETE' ? 'undefined' : { ID: id },
      IS_ACCESSIBLE_BEFORE: act === 'ADD' ? 'N' : 'undefined',
      IS_ACCESSIBLE_AFTER: act === 'DELETE' ? 'N' : 'undefined',
    },
  }
}

/**
 * A task got a comment.
 *
 * https://apidocs.bitrix24.com/api-reference/tasks/comment-item/events-comment/on-task-comment-add.html
 */
export function commentAdded(id: number, taskId: number): ChangeEvent {
  return {
    event: 'ONTASKCOMMENTADD',
    data: {
      FIELDS_BEFORE: 'undefined',
      FIELDS_AFTER: { ID: id, TASK_ID: taskId },
      IS_ACCESSIBLE_BEFORE: 'undefined',
      IS_ACCESSIBLE_AFTER: 'undefined',
    },
  }
}

/**
 * A user was added: the event tells the user's fields.
 *
 * https://apidocs.bitrix24.com/api-reference/user/index.html
 */
export function userAdded(row: Row): ChangeEvent {
  return { event: 'ONUSERADD', data: row as Note['data'] }
}

/** Remembers an event until the request that a call came in is over. */
export function note({ exchange, connector }: Call, { event, data }: ChangeEvent): void {
  exchange.hit.note(event, data, { connector })
}
