import type { Json, JsonObject } from '../../model/json.ts'

/** A robot or an activity of workflows. https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/index.html */
export interface Robot {
  readonly kind: 'robot' | 'activity'
  readonly code: string
  readonly name: Json
  readonly handler: string
  /** Whose tokens the handler gets; 0 leaves it to whoever designs the workflow. */
  readonly authUserId: number
  /** `Y`, `N`, or empty: the designer chooses. */
  readonly useSubscription: string
  /** By id; inside a property names are in upper case. */
  readonly properties: JsonObject
  readonly returnProperties: JsonObject
  /** The page of its settings; empty without one. */
  readonly placementHandler: string
}

/** A provider of text messages. https://apidocs.bitrix24.com/api-reference/messageservice/index.html */
export interface MessageSender {
  readonly code: string
  readonly name: Json
  readonly description: Json
  readonly handler: string
}

/** What an application has registered on a portal besides event handlers. */
export interface Registrations {
  robots: readonly Robot[]
  senders: readonly MessageSender[]
}

/** What a fresh installation has registered. */
export function noRegistrations(): Registrations {
  return { robots: [], senders: [] }
}

/**
 * What a new version of an application has to register again.
 *
 * https://apidocs.bitrix24.com/settings/app-installation/mass-market-apps/installation-callback.html
 */
export function forgetAtUpdate(registrations: Registrations): void {
  registrations.robots = []
  registrations.senders = []
}
