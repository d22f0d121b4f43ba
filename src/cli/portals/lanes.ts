import { randomUUID } from 'node:crypto'
import { resolve } from 'node:path'
import type { Portals } from '../../bridge/portals.ts'
import { createStoredPortals } from '../../bridge/stored-portals.ts'
import type { TokenKeeper } from '../../bridge/tokens/keeper.ts'
import { createTransport, type Transport } from '../../client/transport.ts'
import type { Config } from '../../config/config.ts'
import { portalQueries, tokenQueries } from '../../stores/bound.ts'
import { folderBeside } from '../../stores/unlock.ts'
import type { Vault } from '../vault.ts'

/** The portals of a store, with tokens that renew themselves, for the time of one task. */
export interface ToolPortals {
  readonly portals: Portals
  readonly keeper: TokenKeeper
  readonly transport: Transport
}

/** Does something with the portals of the store as a running bridge would, and beside it. */
export async function withPortals<R>(
  { config, cwd }: { readonly config: Config; readonly cwd: string },
  { store, secrets }: Vault,
  work: (tools: ToolPortals) => Promise<R>,
): Promise<R> {
  const authority = config.tlsCa === undefined ? {} : { ca: config.tlsCa.pem }
  const transport = createTransport({ timeoutMs: config.requestTimeoutMs, ...authority })
  const { keeper, portals } = createStoredPortals({
    defaultPortal: undefined,
    portalStore: portalQueries(store, secrets),
    tokenStore: tokenQueries(store, secrets),
    secrets,
    spoolFolder: resolve(cwd, folderBeside(config.store, 'spool')),
    oauthServers: config.oauthServers,
    ...authority,
    owner: `tool-${randomUUID()}`,
    now: Date.now,
    log: () => {},
    lane: { transport, limit: config.limit, portalWaitMs: 0 },
  })
  try {
    return await work({ portals, keeper, transport })
  } finally {
    await keeper.close()
    await portals.close(0)
    await transport.close()
  }
}
