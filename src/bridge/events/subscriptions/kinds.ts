import type { Call } from '../../../model/call.ts'
import { isJsonObject, type Json, type JsonObject } from '../../../model/json.ts'

/** What can be bound on a portal. */
export type SubscriptionKind =
  | 'event'
  | 'offline'
  | 'sender'
  | 'robot'
  | 'activity'
  | 'placement'
  | 'userfieldtype'
  | 'bot'
  | 'bot.v2'

/** Something that is bound on a portal now. */
export interface Bound {
  readonly kind: SubscriptionKind
  /** What tells it from all others of its kind. May hold the key of a handler's address: never show it. */
  readonly key: string
  /** For people; without any key. */
  readonly label: string
  /** Where the portal calls; absent where its list does not tell. */
  readonly url?: string
  /** Id of a bot. */
  readonly id?: number
  /** Removes it. */
  readonly unbind: Call
}

/** A list of a portal that tells what is bound. */
interface BoundList {
  readonly method: string
  readonly params: JsonObject
  read(result: Json | undefined): Bound[]
}

/**
 * The lists to ask, by name. Those of senders, robots, activities and bots give codes only: whose they are is known
 * from what was applied before.
 */
export const BOUND_LISTS = {
  /** https://apidocs.bitrix24.com/api-reference/events/event-get.html */
  events: { method: 'event.get', params: {}, read: (result) => rowsOf(result).map(eventOf) },
  /** https://apidocs.bitrix24.com/api-reference/messageservice/messageservice-sender-list.html */
  senders: {
    method: 'messageservice.sender.list',
    params: {},
    read: (result) => codesOf('sender', 'messageservice.sender.delete', result),
  },
  /** https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/bizproc-robot-list.html */
  robots: {
    method: 'bizproc.robot.list',
    params: {},
    read: (result) => codesOf('robot', 'bizproc.robot.delete', result),
  },
  /** https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-activity/bizproc-activity-list.html */
  activities: {
    method: 'bizproc.activity.list',
    params: {},
    read: (result) => codesOf('activity', 'bizproc.activity.delete', result),
  },
  /** https://apidocs.bitrix24.com/api-reference/widgets/placement-get.html */
  placements: { method: 'placement.get', params: {}, read: (result) => rowsOf(result).map(placementOf) },
  /** https://apidocs.bitrix24.com/api-reference/widgets/user-field/userfieldtype-list.html */
  userFieldTypes: {
    method: 'userfieldtype.list',
    params: {},
    read: (result) => rowsOf(result).map(userFieldTypeOf),
  },
  /** https://apidocs.bitrix24.com/api-reference/chat-bots/outdated/bots/imbot-bot-list.html */
  bots: {
    method: 'imbot.bot.list',
    params: {},
    read: (result) =>
      rowsOf(result).map((row) => ({
        ...botOf('bot', row.CODE, row.ID),
        unbind: { method: 'imbot.unregister', params: { BOT_ID: Number(row.ID) } },
      })),
  },
  /** https://apidocs.bitrix24.com/api-reference/chat-bots/chat-bots-v2/imbot.v2/bots/bot-list.html */
  bots2: {
    method: 'imbot.v2.Bot.list',
    params: { limit: 500 },
    read: (result) =>
      rowsOf(isJsonObject(result) ? result.bots : []).map((row) => ({
        ...botOf('bot.v2', row.code, row.id),
        unbind: { method: 'imbot.v2.Bot.unregister', params: { botId: Number(row.id) } },
      })),
  },
} as const satisfies Readonly<Record<string, BoundList>>

export type BoundListName = keyof typeof BOUND_LISTS

/** Which list tells of a kind. */
export const LIST_OF: Readonly<Record<SubscriptionKind, BoundListName>> = {
  event: 'events',
  offline: 'events',
  sender: 'senders',
  robot: 'robots',
  activity: 'activities',
  placement: 'placements',
  userfieldtype: 'userFieldTypes',
  bot: 'bots',
  'bot.v2': 'bots2',
}

/** One handler of an event; 0 stands for the user who causes it. */
export function eventKey(event: string, user: number, handler: string): string {
  return `${event.toUpperCase()} ${user} ${handler}`
}

export function offlineKey(event: string, connector: string): string {
  return `${event.toUpperCase()} ${connector}`
}

export function placementKey(placement: string, user: number, handler: string): string {
  return `${placement.toUpperCase()} ${user} ${handler}`
}

function eventOf(row: JsonObject): Bound {
  const event = textOf(row.event).toUpperCase()
  if (Number(row.offline) === 1) {
    const connector = textOf(row.connector_id)
    return {
      kind: 'offline',
      key: offlineKey(event, connector),
      label: connector === '' ? event : `${event} for ${connector}`,
      unbind: {
        method: 'event.unbind',
        params: { event, event_type: 'offline', ...(connector === '' ? {} : { auth_connector: connector }) },
      },
    }
  }
  const handler = textOf(row.handler)
  const user = Number(row.auth_type ?? 0)
  return {
    kind: 'event',
    key: eventKey(event, user, handler),
    label: user === 0 ? event : `${event} as user ${user}`,
    url: handler,
    unbind: { method: 'event.unbind', params: { event, handler, auth_type: user } },
  }
}

function placementOf(row: JsonObject): Bound {
  const placement = textOf(row.placement)
  const handler = textOf(row.handler)
  const user = Number(row.userId ?? 0)
  return {
    kind: 'placement',
    key: placementKey(placement, user, handler),
    label: user === 0 ? placement : `${placement} of user ${user}`,
    url: handler,
    unbind: {
      method: 'placement.unbind',
      params: { PLACEMENT: placement, HANDLER: handler, ...(user === 0 ? {} : { USER_ID: user }) },
    },
  }
}

function userFieldTypeOf(row: JsonObject): Bound {
  const id = textOf(row.USER_TYPE_ID)
  return {
    kind: 'userfieldtype',
    key: id.toLowerCase(),
    label: id,
    url: textOf(row.HANDLER),
    unbind: { method: 'userfieldtype.delete', params: { USER_TYPE_ID: id } },
  }
}

function codesOf(kind: SubscriptionKind, method: string, result: Json | undefined): Bound[] {
  const codes = Array.isArray(result) ? result.filter((one) => typeof one === 'string') : []
  return codes.map((code) => {
    return { kind, key: code.toLowerCase(), label: code, unbind: { method, params: { CODE: code } } }
  })
}

function botOf(kind: SubscriptionKind, code: Json | undefined, id: Json | undefined): Omit<Bound, 'unbind'> {
  return { kind, key: textOf(code).toLowerCase(), label: textOf(code), id: Number(id) }
}

/** Rows of a list; some lists are objects by id. */
function rowsOf(result: Json | undefined): JsonObject[] {
  const rows = Array.isArray(result) ? result : isJsonObject(result) ? Object.values(result) : []
  return rows.filter(isJsonObject)
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}
