import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  createTokenKeeper,
  type TokenKeeper,
  type TokenKeeperOptions,
} from '../../../src/bridge/tokens/keeper.ts'
import { createSpool, type Spool } from '../../../src/bridge/tokens/spool.ts'
import type { TokenStore } from '../../../src/bridge/tokens/store.ts'
import { createAuthorizationServer } from '../../../src/client/oauth.ts'
import type { TokenKey } from '../../../src/model/token.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../../src/sandbox/index.ts'
import { tokenQueries } from '../../../src/stores/bound.ts'
import { openStore } from '../../../src/stores/open.ts'
import { saveApplication } from '../../../src/stores/queries/applications.ts'
import { savePortal } from '../../../src/stores/queries/portals.ts'
import { saveTokens } from '../../../src/stores/queries/tokens.ts'
import { openSealer } from '../../../src/stores/seal.ts'
import { openSecrets, type Secrets } from '../../../src/stores/secrets.ts'
import type { Store } from '../../../src/stores/store.ts'

export const APPLICATION = { clientId: 'local.shop', clientSecret: 'sh0p-s3cret' }
export const SECRET_KEY = `test:${Buffer.alloc(32, 7).toString('base64')}`
export const HOUR_MS = 3_600_000

/** A store with one portal, an application on it, and the tokens of user 1. */
export interface Shop {
  readonly sandbox: Sandbox
  readonly store: Store
  readonly secrets: Secrets
  readonly queries: TokenStore
  readonly key: TokenKey
  readonly portal: { readonly memberId: string; readonly domain: string; readonly clientEndpoint: string }
  readonly folder: string
  readonly logs: { readonly event: string; readonly fields: Readonly<Record<string, unknown>> }[]
  /** Every token that was given out, for looking whether one got out. */
  readonly given: string[]
  keeper(options?: Partial<TokenKeeperOptions>): TokenKeeper
  spool(): Spool
  /** A new chain of user 1, kept as the tokens to use. */
  authorize(userId?: number): Promise<TokenKey>
  close(): Promise<void>
}

export async function openShop(url: string, options: SandboxOptions = {}): Promise<Shop> {
  const sandbox = await createSandbox({ limits: 'off', applications: [APPLICATION], ...options })
  const store = await openStore(url, { now: Date.now })
  const secrets = await openSecrets(store.db, openSealer({ keys: SECRET_KEY }), Date.now)
  const folder = mkdtempSync(join(tmpdir(), 'b24-spool-'))
  const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
  const portal = { memberId, domain, clientEndpoint }
  await savePortal(store.db, { ...portal, serverEndpoint }, Date.now())
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Shop' }, Date.now())
  const logs: Shop['logs'] = []
  const given: string[] = []
  const queries = tokenQueries(store, secrets)
  const open: TokenKeeper[] = []
  const log = (event: string, fields: Readonly<Record<string, unknown>>): void =>
    void logs.push({ event, fields })
  const spool = (): Spool =>
    createSpool({
      folder,
      log,
      seal: {
        seal: (id, text) => secrets.seal({ table: 'spool', row: id, column: 'pair' }, text),
        open: (id, text) => secrets.open({ table: 'spool', row: id, column: 'pair' }, text),
      },
    })
  const shop: Shop = {
    sandbox,
    store,
    secrets,
    queries,
    key: { memberId, clientId: APPLICATION.clientId, userId: '1' },
    portal,
    folder,
    logs,
    given,
    spool,
    keeper(more = {}) {
      const keeper = createTokenKeeper({
        store: queries,
        server: (origin) =>
          createAuthorizationServer({
            ...(origin && { origin }),
            allowed: [sandbox.oauthUrl],
            now: Date.now,
          }),
        spool: spool(),
        owner: `keeper-${open.length}`,
        now: Date.now,
        pauseMs: 50,
        log,
        ...more,
      })
      open.push(keeper)
      return keeper
    },
    async authorize(userId = 1) {
      const { token } = await sandbox.app({ do: 'token', clientId: APPLICATION.clientId, userId })
      if (token === undefined) throw new Error('the sandbox gave no tokens')
      const key = { ...shop.key, userId: String(userId) }
      given.push(token.access_token, token.refresh_token)
      const pair = { accessToken: token.access_token, refreshToken: token.refresh_token }
      await saveTokens(store.db, secrets, key, pair, Date.now())
      return key
    },
    async close() {
      for (const keeper of open) await keeper.close()
      await store.close()
      await sandbox.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await shop.authorize()
  return shop
}
