import { createHash } from 'node:crypto'
import type { PushMessage } from '../../../client/push/message.ts'
import type { PortalEvent } from '../../../model/event.ts'
import type { Json } from '../../../model/json.ts'

/** Whose channel it is. */
export interface PushKey {
  readonly memberId: string
  readonly clientId: string
}

/** Longer commands fit neither a routing key nor AMQP's property of the type; `data.command` has the whole. */
const LONGEST_EVENT = 200

/**
 * A message of the application as an event: its command is the event; module and parameters are the data. The same
 * message gets the same key, in whichever process and by whichever way it comes.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-event-add.html
 */
export function eventOfMessage(
  message: PushMessage,
  { memberId, clientId, domain }: PushKey & { readonly domain: string },
  receivedAt: number,
): PortalEvent {
  const { command, moduleId, params, sentAt } = message
  const event = command.length > LONGEST_EVENT ? command.slice(0, LONGEST_EVENT) : command
  return {
    kind: 'push',
    memberId,
    domain,
    application: clientId,
    event,
    data: { module_id: moduleId, ...(event === command ? {} : { command }), params },
    ...(sentAt === undefined ? {} : { happenedAt: sentAt }),
    receivedAt,
    key: keyOf(message, { memberId, clientId }),
  }
}

/** Servers number their messages; of older ones the time and the content tell one from another. */
function keyOf({ mid, tag, time, moduleId, command, params }: PushMessage, key: PushKey): string {
  const identity: Json[] = mid === undefined ? [tag ?? '', time ?? '', moduleId, command, params] : [mid]
  return createHash('sha256')
    .update(JSON.stringify(['push', key.memberId, key.clientId, ...identity]))
    .digest('hex')
}
