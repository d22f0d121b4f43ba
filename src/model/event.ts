import type { JsonObject } from './json.ts'

/**
 * By which way something came, and so what a consumer may do with it.
 *
 * | kind | what it is |
 * | --- | --- |
 * | `event` | a change that the portal told at once: events of an application, outgoing webhooks, telephony |
 * | `offline` | a change that the portal kept until it was fetched |
 * | `push` | a message on the application's push channel |
 * | `app` | the application's own life: installed, updated, uninstalled, paid |
 * | `bot` | something was said to a chat bot |
 * | `connector` | an open line's operator answers the client of a connector |
 * | `robot` | a robot or an activity of a workflow asks for work, and may wait for the answer |
 * | `message` | a message that a message provider is to send |
 * | `workflow` | a workflow's own outgoing webhook |
 */
export type EventKind =
  | 'event'
  | 'offline'
  | 'push'
  | 'app'
  | 'bot'
  | 'connector'
  | 'robot'
  | 'message'
  | 'workflow'

/** Something that happened in a portal, verified, without any token. */
export interface PortalEvent {
  readonly kind: EventKind
  /** Permanent id of the portal. */
  readonly memberId: string
  /** Host name of the portal today. */
  readonly domain: string
  /** Client id of the application that was told; absent for an outgoing webhook, and where nobody can tell. */
  readonly application?: string
  /** What happened, in upper case: `ONCRMDEALUPDATE`; for robots and messages the handler's code, for push the command. */
  readonly event: string
  /** What the portal says of it; lists are arrays. Numbers of form posts stay text, as they came. */
  readonly data: JsonObject
  /** Id of the user who caused it; absent when a robot or nobody did, or nobody says. */
  readonly userId?: string
  /** When it happened, or was queued by the portal: milliseconds since 1970. */
  readonly happenedAt?: number
  /** When it came here: milliseconds since 1970. */
  readonly receivedAt: number
  /** The same for the same happening however often it is delivered; becomes the message id. */
  readonly key: string
  /** True when the portal never told it and the bridge found it by looking. */
  readonly synthetic?: boolean
  /** The changed record as it was read right after, when the settings ask for it. */
  readonly record?: JsonObject
  /** Code of what kept the record from being read, when the settings ask for it. */
  readonly recordError?: string
  /** The fields as posted, without tokens, when the settings ask for them. */
  readonly raw?: JsonObject
}
