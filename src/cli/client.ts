import { type Client, createClient } from '../client/client.ts'
import type { Config } from '../config/config.ts'
import { CommandError } from '../model/errors.ts'

/** A client for the default portal of the settings; throws a `CommandError` when none is set. */
export function clientOf(config: Config, options: { readonly portalWaitMs?: number } = {}): Client {
  if (config.portal === undefined)
    throw new CommandError('PORTAL_MISSING', 'No portal is set.', {
      hint: 'Give the URL of an incoming webhook with BRIDGE_PORTAL or --portal; `b24-bridge sandbox` starts a portal to try.',
    })
  return createClient({
    webhook: config.portal,
    limit: config.limit,
    operatingLimitSeconds: config.operatingLimitSeconds,
    maxInFlight: config.maxInFlight,
    timeoutMs: config.requestTimeoutMs,
    portalWaitMs: options.portalWaitMs ?? config.portalWaitMs,
    ...(config.tlsCa !== undefined && { ca: config.tlsCa.pem }),
  })
}
