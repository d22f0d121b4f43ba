import { type AuthorizationServer, createAuthorizationServer } from '../client/oauth.ts'

/**
 * Gives the authorization server at an origin, the cloud's for `undefined`: one object for each, made when it is first
 * asked for. Throws a `RestError` `SERVER_NOT_ALLOWED` for one that nobody allowed.
 */
export function createAuthorizationServers(options: {
  /** Origins that the operator allows besides the cloud's. */
  readonly allowed: readonly string[]
  /** Certificates (PEM) that self-hosted servers may be proved by, besides the usual ones. */
  readonly ca?: string | undefined
  readonly now: () => number
}): (origin: string | undefined) => AuthorizationServer {
  const { allowed, ca, now } = options
  const opened = new Map<string | undefined, AuthorizationServer>()
  return (origin) => {
    let server = opened.get(origin)
    if (server === undefined) {
      server = createAuthorizationServer({
        allowed,
        now,
        ...(origin === undefined ? {} : { origin }),
        ...(ca === undefined ? {} : { ca }),
      })
      opened.set(origin, server)
    }
    return server
  }
}
