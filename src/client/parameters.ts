import type { Credential } from '../model/credential.ts'
import { CommandError } from '../model/errors.ts'

/**
 * Calls that prove themselves by parameters of their own, as isolated self-hosted portals may want it:
 * `{ secret_word: '…' }` at `https://portal.example/rest/`. They go into the body of each request; nothing is renewed.
 * Throws a `CommandError` `ENDPOINT_INVALID` that repeats nothing.
 */
export function parametersCredential(options: {
  /** Where method calls go, with the slash at its end. */
  readonly clientEndpoint: string
  /** Never named like a parameter of a method: they win over it. Secret. */
  readonly params: Readonly<Record<string, string>>
}): Credential {
  const { clientEndpoint } = options
  const url = URL.canParse(clientEndpoint) ? new URL(clientEndpoint) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol) || !/\/rest\/$/.test(url.pathname)) {
    throw new CommandError('ENDPOINT_INVALID', 'The client endpoint is not the REST address of a portal', {
      hint: 'It looks like https://portal.example/rest/ and has no user and no secret in it.',
    })
  }
  const authorization = { base: url.pathname, params: { ...options.params } }
  return {
    origin: url.origin,
    domain: url.host,
    key: `parameters ${JSON.stringify(authorization.params)}`,
    authorize: () => authorization,
  }
}
