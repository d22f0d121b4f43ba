import { randomBytes } from 'node:crypto'
import type { Authority } from '../oauth/authority.ts'
import { ACCESS_SECONDS, type Pair } from '../oauth/grants.ts'
import type { Installation } from './installations.ts'
import { placeAt } from './places.ts'

/** The form that a browser posts into the frame of an application page. */
export interface FrameForm {
  /** The page's address with `DOMAIN`, `PROTOCOL`, `LANG` and `APP_SID` behind it. */
  readonly action: string
  readonly fields: Readonly<Record<string, string>>
}

/** Where on the portal a page opens, and what it is told of the place. */
export interface Placement {
  readonly code: string
  /** A JSON text. */
  readonly options: string
  /** Which page, where the application has several at this place. */
  readonly handler?: string
}

/** Who looks at a page, and where. */
export interface FrameOptions {
  readonly userId: number
  readonly placement?: Placement
  /** Somebody without access to the application: the page gets no tokens, as pages of user fields may. */
  readonly guest?: boolean
}

/** An application page that was opened: it may ask for tokens and report that installing is done. */
export interface FrameSession {
  readonly sid: string
  readonly installation: Installation
  readonly userId: number
  readonly placement: Placement
  readonly form: FrameForm
  /** The page is the installer. */
  readonly installing: boolean
  /** The latest pair that the page was given. */
  pair: Pair
}

export const MAIN_PAGE: Placement = { code: 'DEFAULT', options: '[]' }

/** The frames that are open, by `APP_SID`. */
export class FrameSessions {
  readonly #bySid = new Map<string, FrameSession>()

  /**
   * Opens the page that is bound to the placement, else the application's own, or its installer while installing has
   * not been finished. A handler that is named must be bound.
   */
  open(authority: Authority, installation: Installation, options: FrameOptions): FrameSession | undefined {
    const { application, installed } = installation
    const { userId, placement = MAIN_PAGE, guest = false } = options
    const installing = !installed && application.installUrl !== undefined
    const bound = placeAt(installation, placement.code, placement.handler)?.handler
    const own = placement.handler === undefined ? (application.url ?? application.installUrl) : undefined
    const url = installing ? application.installUrl : (bound ?? own)
    if (url === undefined) return undefined
    const sid = randomBytes(16).toString('hex')
    const pair = authority.grants.start({ installation, userId }, authority.now())
    const form = {
      action: actionOf(url, installation, sid),
      fields: { ...fieldsOf(authority, pair, placement), ...(guest ? NO_TOKENS : {}) },
    }
    const session = { sid, installation, userId, placement, form, installing, pair }
    this.#bySid.set(sid, session)
    return session
  }

  find(sid: string): FrameSession | undefined {
    return this.#bySid.get(sid)
  }
}

const NO_TOKENS = { AUTH_ID: '', AUTH_EXPIRES: '', REFRESH_ID: '' }

/** https://apidocs.bitrix24.com/settings/oauth/simple-way.html */
function actionOf(url: string, { portal }: Installation, sid: string): string {
  const protocol = portal.url.startsWith('https:') ? '1' : '0'
  const query = new URLSearchParams({ DOMAIN: portal.domain, PROTOCOL: protocol, LANG: 'en', APP_SID: sid })
  return `${url}${url.includes('?') ? '&' : '?'}${query}`
}

function fieldsOf(authority: Authority, pair: Pair, placement: Placement): Record<string, string> {
  const { installation } = pair.grant
  const newer = {
    SERVER_ENDPOINT: authority.restUrl,
    APPLICATION_TOKEN: installation.applicationToken,
    APPLICATION_SCOPE: [...installation.scopes].join(','),
  }
  return {
    AUTH_ID: pair.access,
    AUTH_EXPIRES: String(ACCESS_SECONDS),
    REFRESH_ID: pair.refresh,
    ...(authority.settings.switches.newFrameFields ? newer : {}),
    member_id: installation.portal.memberId,
    status: installation.application.status,
    PLACEMENT: placement.code,
    PLACEMENT_OPTIONS: placement.options,
  }
}
