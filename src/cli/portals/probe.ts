import { type Client, type ClientOptions, createClient } from '../../client/client.ts'
import type { Config } from '../../config/config.ts'
import type { Credential } from '../../model/credential.ts'
import { type BridgeError, CommandError } from '../../model/errors.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'
import { asRead } from '../client.ts'

/** What one look at a portal found. */
export interface Probe {
  readonly profile: JsonObject
  readonly scope: unknown
  readonly serverTime: unknown
  /** The middle of the request by our clock. */
  readonly at: number
  readonly tookMs: number
}

/** A token just as it is: never renewed, so that looking changes nothing. */
export function fixedToken(clientEndpoint: string, accessToken: string): Credential {
  const { origin, host, pathname } = readEndpoint(clientEndpoint)
  return {
    origin,
    domain: host,
    key: accessToken,
    authorize: () => ({ base: pathname, params: { auth: accessToken } }),
  }
}

/** The REST address of a portal. Throws a `CommandError` `ENDPOINT_INVALID`. */
export function readEndpoint(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url !== undefined && /^https?:$/.test(url.protocol) && url.pathname.endsWith('/rest/')) return url
  throw new CommandError('ENDPOINT_INVALID', 'The address for calls is not the REST address of a portal.', {
    hint: 'It looks like https://example.bitrix24.com/rest/ and comes with the tokens.',
  })
}

/**
 * Asks a portal, with one request, for the user, the scope and the time. Throws what a read throws
 * when there is no answer or `profile` is refused.
 */
export async function probe(
  config: Config,
  way: Pick<ClientOptions, 'webhook' | 'credential' | 'limit'>,
): Promise<Probe> {
  const client = openClient(config, way)
  try {
    const began = Date.now()
    const { results, errors } = await client.batch({
      time: ['server.time'],
      profile: ['profile'],
      scope: ['scope'],
    })
    const ended = Date.now()
    const failed = errors.profile ?? errors.scope
    if (failed !== undefined) throw failed
    return {
      profile: objectOf(results.profile),
      scope: results.scope,
      serverTime: results.time,
      at: (began + ended) / 2,
      tookMs: Math.round(ended - began),
    }
  } catch (error) {
    throw asRead(error as BridgeError)
  } finally {
    await client.close()
  }
}

function openClient(config: Config, way: Pick<ClientOptions, 'webhook' | 'credential' | 'limit'>): Client {
  return createClient({
    limit: config.limit,
    ...way,
    timeoutMs: config.requestTimeoutMs,
    portalWaitMs: 0,
    ...(config.tlsCa !== undefined && { ca: config.tlsCa.pem }),
  })
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {}
}
