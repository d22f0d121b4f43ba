import { type AuthorizationServer, trustedServer } from '../../client/oauth.ts'
import { createAuthorizationServers } from '../authorization-servers.ts'
import { refuseInstall } from './refusals.ts'

/** Which authorization servers may be asked, and how they are reached. */
export interface ServersOptions {
  /** Origins that the operator allows besides the cloud's. */
  readonly servers: readonly string[]
  /** Certificates (PEM) that self-hosted servers may be proved by, besides the usual ones. */
  readonly ca?: string
  readonly now: () => number
}

/**
 * Gives the authorization server at an endpoint or host that somebody named; the operator's first one, or the cloud's,
 * when nobody named any. Throws `SERVER_NOT_ALLOWED`.
 */
export type OpenServer = (named: string | undefined) => AuthorizationServer

/** The servers that installations and pages are proven at. */
export function createServers({ servers, ca, now }: ServersOptions): OpenServer {
  const at = createAuthorizationServers({ allowed: servers, ca, now })
  return (named) => {
    const address = named ?? servers[0]
    const origin = address === undefined ? undefined : trustedServer(address, servers)
    if (address !== undefined && origin === undefined) throw refuseInstall('SERVER_NOT_ALLOWED')
    return at(origin)
  }
}
