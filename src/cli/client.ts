import { type Client, createClient } from '../client/client.ts'
import type { Caller } from '../client/lane/work.ts'
import type { Config } from '../config/config.ts'
import { type BridgeError, CommandError, TransportError } from '../model/errors.ts'

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

/** The error of a read: one whose answer was lost has done no harm and can be repeated, so nothing is unknown. */
export function asRead(error: BridgeError): BridgeError {
  if (!(error instanceof TransportError) || !error.mayHaveRun) return error
  const { code, message, status, cause, hint } = error
  return new TransportError(code, message, {
    sent: false,
    status,
    cause,
    ...(hint !== undefined && { hint }),
  })
}

/** The same client for work that only reads. */
export function readingOnly(client: Client): Caller & Pick<Client, 'close'> {
  return {
    submit: async (work) =>
      (await client.submit(work)).map((settled) =>
        settled.error === undefined ? settled : { ...settled, error: asRead(settled.error) },
      ),
    close: () => client.close(),
  }
}
