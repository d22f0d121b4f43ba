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

/** A page of an application at a place of the portal. https://apidocs.bitrix24.com/api-reference/widgets/index.html */
export interface PlacementHandler {
  readonly id: number
  readonly placement: string
  readonly handler: string
  /** 0 for all users. */
  readonly userId: number
  readonly title: string
  readonly description: string
  readonly options: JsonObject
  readonly langAll: JsonObject
}

/** A type of user fields. https://apidocs.bitrix24.com/api-reference/widgets/user-field/index.html */
export interface FieldType {
  readonly id: string
  readonly handler: string
  readonly title: string
  readonly description: string
  readonly options: JsonObject
}

/** A channel of open lines. https://apidocs.bitrix24.com/api-reference/imopenlines/imconnector/index.html */
export interface Connector {
  readonly id: string
  readonly name: string
  /** The page of its settings. */
  readonly placementHandler: string
  /** Numbers of the lines that it is active on. */
  readonly lines: readonly number[]
}

/** What an application has registered on a portal besides event handlers. */
export interface Registrations {
  robots: readonly Robot[]
  senders: readonly MessageSender[]
  placements: readonly PlacementHandler[]
  fieldTypes: readonly FieldType[]
  connectors: readonly Connector[]
}

/** What a fresh installation has registered. */
export function noRegistrations(): Registrations {
  return { robots: [], senders: [], placements: [], fieldTypes: [], connectors: [] }
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
