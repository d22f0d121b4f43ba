import type { Json } from '../../model/json.ts'
import { parseQuery, phpToJson } from '../php.ts'
import type { Portal } from '../portal.ts'

/**
 * What a link into an application opens: `/marketplace/view/<code or client id>/?params[key]=value` is a page of the
 * placement `REST_APP_URI`, told of the parameters, or the main page where none is bound. `undefined` for other paths.
 *
 * https://apidocs.bitrix24.com/api-reference/widgets/universal/app-url.html
 */
export function deepLink(portal: Portal, path: string, query: string): URLSearchParams | undefined {
  const [, name] = /^\/marketplace\/view\/([^/]+)\/?$/.exec(path) ?? []
  if (name === undefined) return undefined
  const code = decodeURIComponent(name)
  const installation = portal.installations
    .all()
    .find(({ application }) => application.clientId === code || application.code === code)
  const clientId = installation?.application.clientId ?? code
  if (!installation?.registered.placements.some(({ placement }) => placement === 'REST_APP_URI'))
    return new URLSearchParams({ client_id: clientId })
  const given: Record<string, Json> = {}
  for (const [key, value] of parseQuery(query)) given[key] = phpToJson(value)
  const options = JSON.stringify(given.params ?? {})
  return new URLSearchParams({ client_id: clientId, placement: 'REST_APP_URI', options })
}
