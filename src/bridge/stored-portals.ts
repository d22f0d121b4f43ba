import { createAuthorizationServers } from './authorization-servers.ts'
import type { PortalStore } from './portal-credentials.ts'
import { createPortals, type Portals, type PortalsOptions } from './portals.ts'
import { createTokenKeeper, type TokenKeeper, type TokenKeeperOptions } from './tokens/keeper.ts'
import { createSpool } from './tokens/spool.ts'
import type { TokenStore } from './tokens/store.ts'

export interface StoredPortalsOptions extends Omit<PortalsOptions, 'stored'> {
  readonly portalStore: PortalStore
  readonly tokenStore: TokenStore
  /** Seals what lies in the spool. */
  readonly secrets: {
    seal(place: Place, secret: string): string
    open(place: Place, sealed: string): string
  }
  /** A folder on a disk of this machine, for pairs on their way into the store. */
  readonly spoolFolder: string
  /** Authorization servers that are trusted besides the cloud's. */
  readonly oauthServers: readonly string[]
  /** Certificates (PEM) that authorization servers of self-hosted portals may be proved by, besides the usual ones. */
  readonly ca?: string
  /** This process; different for each. */
  readonly owner: string
  readonly onRefresh?: NonNullable<TokenKeeperOptions['onRefresh']>
  readonly log: TokenKeeperOptions['log']
}

interface Place {
  readonly table: string
  readonly row: string
  readonly column: string
}

/** The portals of a store, with the keeper of their tokens. Does no I/O; start the keeper, and close both. */
export function createStoredPortals(options: StoredPortalsOptions): {
  readonly portals: Portals
  readonly keeper: TokenKeeper
} {
  const { secrets, oauthServers, now, log, owner, ca } = options
  const place = (row: string): Place => ({ table: 'spool', row, column: 'pair' })
  const keeper = createTokenKeeper({
    store: options.tokenStore,
    server: createAuthorizationServers({ allowed: oauthServers, ca, now }),
    spool: createSpool({
      folder: options.spoolFolder,
      seal: {
        seal: (id, text) => secrets.seal(place(id), text),
        open: (id, sealed) => secrets.open(place(id), sealed),
      },
      log,
    }),
    owner,
    now,
    log,
    ...(options.onRefresh === undefined ? {} : { onRefresh: options.onRefresh }),
  })
  const { credentialFor } = keeper
  const portals = createPortals({ ...options, stored: { store: options.portalStore, credentialFor } })
  return { portals, keeper }
}
