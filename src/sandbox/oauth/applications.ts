import { randomBytes, randomInt } from 'node:crypto'
import { SCOPES } from '../credentials.ts'

/** L local, F free, D demo, T trial, P paid, S by subscription. */
export type ApplicationStatus = 'L' | 'F' | 'D' | 'T' | 'P' | 'S'

/** An application as its developer describes it. Everything has a default. */
export interface ApplicationOptions {
  /** Made up when not given, in the shape that portals give to local applications. */
  readonly clientId?: string
  readonly clientSecret?: string
  readonly code?: string
  readonly title?: string
  readonly version?: number
  readonly status?: ApplicationStatus
  /** All that the sandbox knows, unless given. */
  readonly scopes?: readonly string[]
  /** Where `/oauth/authorize/` sends the browser back to. */
  readonly redirectUri?: string
  /** The page that opens inside the portal. */
  readonly url?: string
  /** With pages: the page that opens first and calls `BX24.installFinish()`. Without: takes `ONAPPINSTALL`. */
  readonly installUrl?: string
  /** Takes `ONAPPINSTALL` and `ONAPPUPDATE` without being bound. */
  readonly eventUrl?: string
  /** Has pages inside the portal; true when `url` is given, or `installUrl` without `eventUrl`. */
  readonly hasUi?: boolean
  /** Present on every portal from the start; true when there is neither `installUrl` nor `eventUrl`. */
  readonly installed?: boolean
}

/** An application with every default filled in. */
export interface Application {
  readonly clientId: string
  readonly clientSecret: string
  readonly code: string
  readonly title: string
  readonly version: number
  readonly status: ApplicationStatus
  readonly scopes: readonly string[]
  readonly redirectUri: string | undefined
  readonly url: string | undefined
  readonly installUrl: string | undefined
  readonly eventUrl: string | undefined
  readonly hasUi: boolean
  readonly installed: boolean
}

/** The client id of the application that every portal has, to which the fixed access token belongs. */
export const OWN_APPLICATION = 'local.sandbox'

/** The applications that the authorization server knows. */
export class Applications {
  readonly #byId = new Map<string, Application>()

  constructor(options: readonly ApplicationOptions[]) {
    const own = { clientId: OWN_APPLICATION, clientSecret: 'sandbox-client-secret', code: OWN_APPLICATION }
    this.add({ ...own, title: 'Sandbox' })
    for (const each of options) this.add(each)
  }

  /** Registers an application; one with the same client id takes the new description, wherever it is installed. */
  add(options: ApplicationOptions): Application {
    const application = applicationFrom(options)
    const known = this.#byId.get(application.clientId)
    if (known !== undefined) return Object.assign(known, application)
    this.#byId.set(application.clientId, application)
    return application
  }

  find(clientId: string): Application | undefined {
    return this.#byId.get(clientId)
  }
}

function applicationFrom(options: ApplicationOptions): Application {
  const { redirectUri, url, installUrl, eventUrl } = options
  const clientId = options.clientId ?? `local.${randomBytes(7).toString('hex')}.${randomInt(1e7, 1e8)}`
  return {
    clientId,
    clientSecret: options.clientSecret ?? randomBytes(25).toString('hex'),
    code: options.code ?? clientId,
    title: options.title ?? clientId,
    version: options.version ?? 1,
    status: options.status ?? 'L',
    scopes: options.scopes ?? SCOPES,
    redirectUri,
    url,
    installUrl,
    eventUrl,
    hasUi: options.hasUi ?? (url !== undefined || (installUrl !== undefined && eventUrl === undefined)),
    installed: options.installed ?? (installUrl === undefined && eventUrl === undefined),
  }
}
