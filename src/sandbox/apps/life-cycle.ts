import type { Application } from '../oauth/applications.ts'
import type { Portal } from '../portal.ts'
import { type EventParts, type Happening, raise } from './events.ts'
import { type EventHandler, type Installation, newApplicationToken } from './installations.ts'
import { forgetAtUpdate } from './registrations.ts'
import type { Delivery } from './sender.ts'

const LANGUAGE = 'en'

/**
 * Installing, updating and removing applications.
 *
 * | application | installed | told by `ONAPPINSTALL` |
 * | --- | --- | --- |
 * | with pages and an installer page | by `BX24.installFinish()` | handlers that the installer bound |
 * | with pages only | at once | nobody yet |
 * | without pages | at once | `eventUrl`, or `installUrl` |
 *
 * https://apidocs.bitrix24.com/settings/app-installation/installation-finish.html
 */
export async function install(
  parts: EventParts,
  portal: Portal,
  application: Application,
  userId: number,
): Promise<{ readonly installation: Installation; readonly deliveries: Delivery[] }> {
  const before = portal.installations.find(application.clientId)
  if (before !== undefined) parts.authority.grants.kill(before)
  const atOnce = !application.hasUi || application.installUrl === undefined
  const installation = portal.installations.put(application, userId, atOnce)
  const deliveries = atOnce ? await tellInstalled(parts, installation) : []
  return { installation, deliveries }
}

/** What `BX24.installFinish()` does; a second time it does nothing. */
export async function finish(parts: EventParts, installation: Installation): Promise<Delivery[]> {
  if (installation.installed) return []
  installation.installed = true
  return tellInstalled(parts, installation)
}

/**
 * A new version: its handlers must be bound anew. `ONAPPUPDATE` goes to the handlers there were, and to `eventUrl`.
 *
 * https://apidocs.bitrix24.com/api-reference/common/events/on-app-update.html
 */
export async function update(
  parts: EventParts,
  installation: Installation,
  options: { readonly version?: number | undefined; readonly newApplicationToken?: boolean | undefined },
): Promise<Delivery[]> {
  const previous = installation.version
  const handlers = withOwnHandler(installation, 'ONAPPUPDATE')
  installation.version = options.version ?? previous + 1
  installation.scopes = new Set(installation.application.scopes)
  installation.handlers = []
  forgetAtUpdate(installation.registered)
  if (options.newApplicationToken === true) installation.applicationToken = newApplicationToken()
  return raise(parts, installation, handlers, {
    event: 'ONAPPUPDATE',
    data: { VERSION: installation.version, PREVIOUS_VERSION: previous, LANGUAGE_ID: LANGUAGE },
    userId: installation.userId,
  })
}

/**
 * Removes an application: all its tokens and handlers end. `ONAPPUNINSTALL` goes to handlers bound for it and has no
 * tokens, only the application token.
 *
 * https://apidocs.bitrix24.com/api-reference/common/events/on-app-uninstall.html
 */
export async function uninstall(
  parts: EventParts,
  installation: Installation,
  clean: boolean,
): Promise<Delivery[]> {
  const { portal, handlers } = installation
  parts.authority.grants.kill(installation)
  portal.installations.remove(installation)
  return raise(parts, { ...installation, paid: true }, handlers, {
    event: 'ONAPPUNINSTALL',
    data: { LANGUAGE_ID: LANGUAGE, CLEAN: clean ? 1 : 0 },
  })
}

function tellInstalled(parts: EventParts, installation: Installation): Promise<Delivery[]> {
  const happening: Happening = {
    event: 'ONAPPINSTALL',
    data: { VERSION: installation.version, ACTIVE: 'Y', INSTALLED: 'Y', LANGUAGE_ID: LANGUAGE },
    userId: installation.userId,
  }
  return raise(parts, installation, withOwnHandler(installation, 'ONAPPINSTALL'), happening)
}

/** The bound handlers, and the address that the application's card names for life-cycle events. */
function withOwnHandler(installation: Installation, event: string): EventHandler[] {
  const { application, handlers } = installation
  const url = application.eventUrl ?? (application.hasUi ? undefined : application.installUrl)
  if (url === undefined || handlers.some((known) => known.event === event && known.url === url))
    return handlers
  const own = {
    id: installation.portal.nextHandlerId(),
    event,
    url,
    userId: 0,
    offline: false,
    connector: '',
  }
  return [...handlers, own]
}
