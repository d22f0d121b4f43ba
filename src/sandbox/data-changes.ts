import type { JsonObject } from '../model/json.ts'
import type { Note } from './apps/hit.ts'
import type { Delivery, DeliveryCounts } from './apps/sender.ts'
import { classicField, ENTITIES } from './entities.ts'
import { idOf } from './filter.ts'
import { type Act, type ChangeEvent, commentAdded, crmChange, taskChange, userAdded } from './happenings.ts'
import { newRow, storedFields } from './methods/crm-rows.ts'
import { newTask, storedTask } from './methods/tasks.ts'
import type { Portal } from './portal.ts'
import type { Row } from './table.ts'
import { isoTime } from './time.ts'

/** Kinds of objects that people change. Comments and users can only be added. */
export type ChangedEntity = keyof typeof ENTITIES | 'task' | 'comment' | 'user'

const CHANGED: ReadonlySet<string> = new Set([...Object.keys(ENTITIES), 'task', 'comment', 'user'])

/** Who changes something, and how it is told. */
interface ChangeManner {
  /** 1 unless given; null is a robot or the portal itself, for whom no tokens are sent. */
  readonly userId?: number | null
  /** Everything is one hit, as an action on a list is: equal events are told once. Else each change is its own. */
  readonly oneHit?: boolean
  /** False: do not wait until the handlers have answered. */
  readonly wait?: boolean
}

/**
 * Something that people or robots do on a portal, not through REST. It is not in the log of writes.
 *
 * | `do` | means |
 * | --- | --- |
 * | `add` | `count` new objects with `fields`; a comment names its task in `TASK_ID` |
 * | `change` | `count` objects from `id` on get `fields`; without fields they are just saved |
 * | `delete` | `count` objects from `id` on are deleted |
 * | `raise` | nothing changes; the event that is named happens `count` times |
 */
export type DataChange = ChangeManner & { readonly count?: number } & (
    | { readonly do: 'add'; readonly entity: ChangedEntity; readonly fields?: JsonObject }
    | {
        readonly do: 'change' | 'delete'
        readonly entity: ChangedEntity
        readonly id: number
        readonly fields?: JsonObject
      }
    | { readonly do: 'raise'; readonly event: string; readonly data?: JsonObject }
  )

/** What came of it. */
export interface DataChangeOutcome {
  /** The objects, in order; empty for `raise`. */
  readonly ids: readonly number[]
  /** Requests to handlers; missing when nobody waited for them. */
  readonly deliveries?: DeliveryCounts
}

/** Carries out a change. Rejects before anything is done when an object is missing or cannot be changed so. */
export async function changeData(portal: Portal, change: DataChange): Promise<DataChangeOutcome> {
  const { userId = 1, oneHit = false, wait = true, count = 1 } = change
  if (!Number.isInteger(count) || count < 1) throw new Error('count must be a whole number from 1 on')
  const cause = userId === null ? {} : { userId }
  const steps = Array.from({ length: count }, (_, step) => stepOf(portal, change, step))
  let hit = portal.events.hit(cause)
  const told: Promise<Delivery[]>[] = []
  const ids: number[] = []
  for (const step of steps) {
    const { id, event } = step(userId ?? 0)
    if (id !== undefined) ids.push(id)
    hit.note(event.event, event.data)
    if (oneHit) continue
    told.push(hit.end())
    hit = portal.events.hit(cause)
  }
  told.push(hit.end())
  if (!wait) return { ids }
  return { ids, deliveries: countOf((await Promise.all(told)).flat()) }
}

type Step = (userId: number) => { readonly id?: number; readonly event: ChangeEvent }

/** Checks one step of a change, and gives what carries it out. */
function stepOf(portal: Portal, change: DataChange, step: number): Step {
  if (change.do === 'raise') {
    const { event, data = {} } = change
    if (typeof event !== 'string') throw new Error('raise needs the name of an event')
    return () => ({ event: { event: event.toUpperCase(), data: data as Note['data'] } })
  }
  const { entity, fields = {} } = change
  if (!CHANGED.has(entity)) throw new Error(`nobody changes objects of the kind ${entity}`)
  const table = portal.data[entity]
  if (change.do === 'add') return (userId) => add(portal, { entity, fields, userId })
  if (entity === 'comment' || entity === 'user') throw new Error(`a ${entity} can only be added`)
  const id = change.id + step
  if (table.get(id) === undefined) throw new Error(`no ${entity} ${id}`)
  if (change.do === 'delete') {
    return () => {
      table.remove(id)
      return { id, event: eventOf(entity, 'DELETE', id) }
    }
  }
  if (change.do !== 'change') throw new Error('no such change')
  return () => {
    const stored = entity === 'task' ? storedTask(fields) : storedCrm(entity, fields, table.get(id))
    table.update(id, { ...stored, [stampOf(entity)]: isoTime(portal.now()) })
    return { id, event: eventOf(entity, 'UPDATE', id) }
  }
}

function add(
  portal: Portal,
  what: { readonly entity: ChangedEntity; readonly fields: JsonObject; readonly userId: number },
): { readonly id: number; readonly event: ChangeEvent } {
  const { entity, fields, userId } = what
  const date = isoTime(portal.now())
  const { data } = portal
  if (entity === 'comment') {
    const id = data.comment.insert({ ...fields, AUTHOR_ID: String(userId), POST_DATE: date })
    return { id, event: commentAdded(id, idOf(fields.TASK_ID ?? 0)) }
  }
  if (entity === 'user') {
    const id = data.user.insert({ ACTIVE: true, UF_DEPARTMENT: [1], USER_TYPE: 'employee', ...fields })
    return { id, event: userAdded(data.user.get(id) ?? {}) }
  }
  const row =
    entity === 'task'
      ? newTask(storedTask(fields), userId, date)
      : newRow(ENTITIES[entity], storedCrm(entity, fields, undefined), userId, date)
  const id = data[entity].insert(row)
  return { id, event: eventOf(entity, 'ADD', id) }
}

function storedCrm(entity: keyof typeof ENTITIES, fields: JsonObject, known: Row | undefined): Row {
  return storedFields(fields, (name) => classicField(ENTITIES[entity], name), known)
}

function eventOf(entity: keyof typeof ENTITIES | 'task', act: Act, id: number): ChangeEvent {
  return entity === 'task' ? taskChange(act, id) : crmChange(entity, act, id)
}

function stampOf(entity: keyof typeof ENTITIES | 'task'): string {
  return entity === 'task' ? 'CHANGED_DATE' : entity === 'product' ? 'TIMESTAMP_X' : 'DATE_MODIFY'
}

function countOf(deliveries: readonly Delivery[]): DeliveryCounts {
  const counts = { delivered: 0, refused: 0, lost: 0 }
  for (const { status } of deliveries)
    counts[status === undefined ? 'lost' : status < 300 ? 'delivered' : 'refused'] += 1
  return counts
}
