import { randomUUID } from 'node:crypto'
import { createStoredPortals } from './bridge/stored-portals.ts'
import { type Client, clientOver } from './client/client.ts'
import type { CallSettled } from './client/lane/work.ts'
import { createTransport } from './client/transport.ts'
import { BridgeError, ConfigError, StoreError } from './model/errors.ts'
import { parseRequestLimit } from './model/limits.ts'
import { parseWebhook } from './model/webhook.ts'
import { portalQueries, tokenQueries } from './stores/bound.ts'
import { bucketLevels } from './stores/bucket-levels.ts'
import { openStore } from './stores/open.ts'
import { openSharedBuckets } from './stores/shared-buckets.ts'
import { folderBeside, unlockStore } from './stores/unlock.ts'

export interface OpenBridgeOptions {
  /** The store with portals and tokens: `sqlite:./data/bridge.db`, `postgres://…`, `mysql://…`. */
  readonly store: string
  /** As `BRIDGE_SECRET_KEY`; a key file beside an SQLite store is made and used when there is none. */
  readonly secretKey?: string
  /** Refuse to work without a `secretKey`. */
  readonly production?: boolean
  /** Authorization servers that are trusted besides the cloud's: origins. */
  readonly oauthServers?: readonly string[]
  /** Certificates (PEM) to trust besides the usual ones. */
  readonly ca?: string
  /** The request limit of portals that have none of their own in the store: `standard` unless said otherwise. */
  readonly limit?: string
  /** Hears what happens: renewals, suspensions. Never a secret. */
  readonly log?: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** In whose name calls are made; the oldest credential of the portal unless said otherwise. */
export interface InTheNameOf {
  /** Client id of the application. */
  readonly application?: string
  /** User id. */
  readonly as?: string
}

/** A portal of a bridge, ready to be called. */
export type PortalClient = Pick<Client, 'call' | 'send' | 'batch' | 'list'>

/** The portals of a store, side by side in one process. */
export interface Bridge {
  /**
   * A portal by member id, domain or alias, or by the address of a webhook. Does no I/O: an unknown portal, a suspended
   * one or an unknown user shows with the first call (`PORTAL_UNKNOWN`, `PORTAL_SUSPENDED`, `USER_UNKNOWN`).
   */
  portal(idOrWebhookUrl: string, inTheNameOf?: InTheNameOf): PortalClient
  /** Waits for requests under way and closes connections and store. Twice is harmless. */
  close(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/**
 * Opens a store and gives its portals. Tokens renew themselves, once for all processes on the store.
 *
 * Rejects with a `ConfigError` or `StoreError` when the store cannot be opened or the key is not its own. An SQLite store
 * is for one process: a running service on the same file makes it `STORE_IN_USE`.
 */
export async function openBridge(options: OpenBridgeOptions): Promise<Bridge> {
  const { store: address, oauthServers = [], log = () => undefined } = options
  const limit = parseRequestLimit(options.limit ?? 'standard')
  if (limit === undefined)
    throw new ConfigError(['limit must be standard, enterprise, off or X/Y such as 50/2'])
  const store = await openStore(address, { now: Date.now })
  const authority = options.ca === undefined ? {} : { ca: options.ca }
  const transport = createTransport(authority)
  try {
    const secrets = await unlockStore(store, {
      address,
      given: options.secretKey,
      production: options.production ?? false,
      now: Date.now,
    })
    const owner = randomUUID()
    const shared = store.features.shared
      ? await openSharedBuckets({ store, owner, now: Date.now, log })
      : undefined
    const { portals, keeper } = createStoredPortals({
      defaultPortal: undefined,
      portalStore: portalQueries(store, secrets),
      tokenStore: tokenQueries(store, secrets),
      secrets,
      spoolFolder: folderBeside(address, 'spool'),
      oauthServers,
      ...authority,
      owner,
      ...(shared === undefined ? {} : { shared }),
      now: Date.now,
      levels: await bucketLevels(store, Date.now, () => log('bucket.unsaved', {})),
      log,
      lane: { transport, limit },
    })
    await keeper.start()
    let closed: Promise<void> | undefined
    const close = async (): Promise<void> => {
      await portals.close(10_000)
      await keeper.close()
      await transport.close()
      await shared?.close()
      await store.close()
    }
    const closeOnce = (): Promise<void> => {
      closed ??= close()
      return closed
    }
    return {
      portal(name, inTheNameOf = {}) {
        const wish = /^https?:\/\/.*\/rest\/\d+\//.test(name)
          ? { credential: parseWebhook(name) }
          : { portal: name, ...inTheNameOf }
        return clientOver({
          async submit(work): Promise<readonly CallSettled[]> {
            try {
              const { lane, credential } = await portals.find(wish)
              return await lane.submit({ ...work, options: { credential, ...work.options } })
            } catch (error) {
              const known =
                error instanceof BridgeError ? error : new StoreError('STORE_FAILED', String(error))
              return work.calls.map(() => ({ error: known }))
            }
          },
        })
      },
      close: closeOnce,
      [Symbol.asyncDispose]: closeOnce,
    }
  } catch (error) {
    await transport.close()
    await store.close()
    throw error
  }
}
