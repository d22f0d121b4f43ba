import { randomBytes } from 'node:crypto'
import type { Application, Applications } from '../oauth/applications.ts'
import type { Portal } from '../portal.ts'
import { OfflineQueue } from './offline-queue.ts'
import { noRegistrations, type Registrations } from './registrations.ts'

/** An event handler as `event.bind` left it. */
export interface EventHandler {
  readonly id: number
  /** In upper case. */
  readonly event: string
  /** Empty for offline events. */
  readonly url: string
  /** Whose tokens the handler gets; 0 stands for the user who caused the event. */
  readonly userId: number
  readonly offline: boolean
  readonly connector: string
  /** For `ONOFFLINEEVENT`: seconds in which it is called once. */
  readonly minTimeoutSeconds?: number
}

/** An application living on a portal. */
export interface Installation {
  readonly portal: Portal
  readonly application: Application
  /** `ID` in `app.info`. */
  readonly id: number
  /** The administrator who installed it. */
  readonly userId: number
  /** The secret by which event requests prove where they come from. */
  applicationToken: string
  scopes: ReadonlySet<string>
  version: number
  /** False until `BX24.installFinish()` for an application with an installer page. */
  installed: boolean
  /** False: the token endpoint and REST answer with `PAYMENT_REQUIRED`. */
  paid: boolean
  handlers: EventHandler[]
  /** Its events that wait to be fetched. */
  readonly offline: OfflineQueue
  readonly registered: Registrations
}

/** The installations of one portal. */
export class Installations {
  readonly #portal: Portal
  readonly #applications: Applications
  readonly #byClient = new Map<string, Installation>()
  readonly #removed = new Set<string>()
  #lastId = 0

  constructor(portal: Portal, applications: Applications) {
    this.#portal = portal
    this.#applications = applications
  }

  /** The installation of an application, which may not be finished yet; `undefined` when it is not on this portal. */
  find(clientId: string): Installation | undefined {
    const known = this.#byClient.get(clientId)
    if (known !== undefined) return known
    const application = this.#applications.find(clientId)
    if (application?.installed !== true || this.#removed.has(clientId)) return undefined
    return this.put(application, 1, true)
  }

  /** Puts an application on the portal, in place of an installation that may be there. Its token is a new one. */
  put(application: Application, userId: number, installed: boolean): Installation {
    const installation: Installation = {
      portal: this.#portal,
      application,
      id: this.#byClient.get(application.clientId)?.id ?? ++this.#lastId,
      userId,
      applicationToken: newApplicationToken(),
      scopes: new Set(application.scopes),
      version: application.version,
      installed,
      paid: true,
      handlers: [],
      offline:
        this.#byClient.get(application.clientId)?.offline ?? new OfflineQueue(this.#portal.queueHabits),
      registered: noRegistrations(),
    }
    this.#byClient.set(application.clientId, installation)
    return installation
  }

  /** Those that were asked for or installed so far. */
  all(): Installation[] {
    return [...this.#byClient.values()]
  }

  remove({ application, offline }: Installation): void {
    offline.drop()
    this.#byClient.delete(application.clientId)
    this.#removed.add(application.clientId)
  }
}

/** 32 hexadecimal digits, as portals make them. */
export function newApplicationToken(): string {
  return randomBytes(16).toString('hex')
}
