import { afterEach, describe, expect, it } from 'vitest'
import { type Client, createClient } from '../../src/client/client.ts'
import { createOAuthCredential } from '../../src/client/credentials.ts'
import type { TokenGrant } from '../../src/client/oauth.ts'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'

const APPLICATION = { clientId: 'local.shop', clientSecret: 'shop-secret' }
const HOUR_MS = 3_600_000

const open: { close(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

interface Shop {
  readonly sandbox: Sandbox
  readonly b24: Client
  /** Every pair that was given to be kept. */
  readonly kept: TokenGrant[]
}

/** A client in the name of user 1 of an installed application; `keep` may refuse a pair. */
async function openShop(
  keep: (grant: TokenGrant) => void = () => undefined,
  settings: { readonly clientSecret?: string; readonly knownExpiry?: boolean } = {},
): Promise<Shop> {
  const sandbox = await createSandbox({ limits: 'off', applications: [APPLICATION] })
  open.push(sandbox)
  const { token } = await sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
  if (token === undefined) throw new Error('the sandbox gave no tokens')
  const kept: TokenGrant[] = []
  const credential = createOAuthCredential({
    application: { ...APPLICATION, clientSecret: settings.clientSecret ?? APPLICATION.clientSecret },
    server: { origin: sandbox.oauthUrl, allowed: [sandbox.oauthUrl] },
    tokens: {
      accessToken: token.access_token,
      refreshToken: token.refresh_token,
      clientEndpoint: token.client_endpoint,
      ...(settings.knownExpiry === true ? { expiresAt: Date.now() + 1000 } : {}),
    },
    onTokens: (grant) => {
      keep(grant)
      kept.push(grant)
    },
  })
  const b24 = createClient({ credential, limit: 'off', portalWaitMs: 3000 })
  open.push(b24)
  return { sandbox, b24, kept }
}

const refreshes = ({ sandbox }: Shop): unknown => sandbox.stats().oauth

describe('a credential with tokens', () => {
  it('calls with the token it was given, alone and in batches, and asks for no other', async () => {
    const shop = await openShop()
    expect(await shop.b24.call('profile')).toMatchObject({ ID: '1' })
    const titles = await Promise.all(
      [1, 2, 3].map((id) => shop.b24.call<{ ID: string }>('crm.deal.get', { id })),
    )
    expect(titles.map(({ ID }) => ID)).toEqual(['1', '2', '3'])
    expect(shop.kept).toHaveLength(0)
  })

  it('renews an expired token for REST v3 too, which has no code of its own for that', async () => {
    const { sandbox, b24, kept } = await openShop()
    sandbox.advance(2 * HOUR_MS)
    const answer = await b24.call<{ item: { id: number } }>('tasks.task.get', { id: 1 }, { api: 'v3' })
    expect(answer.item.id).toBe(1)
    expect(kept).toHaveLength(1)
  })

  it('renews an expired token once for two hundred calls, and all are answered', async () => {
    const shop = await openShop()
    shop.sandbox.advance(2 * HOUR_MS)
    const ids = Array.from({ length: 200 }, (_, i) => (i % 100) + 1)
    const deals = await Promise.all(ids.map((id) => shop.b24.call<{ ID: string }>('crm.deal.get', { id })))
    expect(deals.map(({ ID }) => Number(ID))).toEqual(ids)
    expect(shop.kept).toHaveLength(1)
    expect(JSON.stringify(refreshes(shop))).toContain('"ok":1')
  })

  it('renews before the call when it knows that the token has less than a minute left', async () => {
    const shop = await openShop(undefined, { knownExpiry: true })
    await shop.b24.call('profile')
    expect(shop.kept).toHaveLength(1)
    expect(shop.sandbox.stats().refused).toEqual({})
  })

  it('does not use a pair that could not be kept, and offers the same pair again', async () => {
    let offered = 0
    const shop = await openShop(() => {
      offered++
      if (offered === 1) throw new Error('the disk is full')
    })
    shop.sandbox.advance(2 * HOUR_MS)
    expect(await shop.b24.call('profile')).toMatchObject({ ID: '1' })
    expect(offered).toBe(2)
    expect(shop.kept).toHaveLength(1)
    expect(JSON.stringify(refreshes(shop))).toContain('"ok":1')
  })

  it('fails with the reason and a hint when the application was uninstalled, and never as done or unknown', async () => {
    const shop = await openShop()
    await shop.sandbox.app({ do: 'uninstall', clientId: APPLICATION.clientId })
    const { error } = await shop.b24.send('crm.deal.add', { fields: { TITLE: 'Chairs' } })
    expect(error).toMatchObject({ name: 'AuthError', mayHaveRun: false })
    expect(error?.message).not.toContain(APPLICATION.clientSecret)
    expect(shop.sandbox.stats().writes).toBe(0)
  })

  it('takes HTTP 200 with wrong_client for the refusal that it is', async () => {
    const shop = await openShop(undefined, { clientSecret: 'not-the-secret' })
    shop.sandbox.advance(2 * HOUR_MS)
    const { error } = await shop.b24.send('profile')
    expect(error).toMatchObject({ code: 'wrong_client', mayHaveRun: false })
    expect(JSON.stringify(error)).not.toContain('not-the-secret')
  })

  it('sends no secret to a server that nobody allowed', () => {
    const tokens = {
      accessToken: 'a',
      refreshToken: 'r',
      clientEndpoint: 'https://example.bitrix24.com/rest/',
    }
    const server = { origin: 'https://evil.example' }
    expect(() =>
      createOAuthCredential({ application: APPLICATION, tokens, server, onTokens: () => undefined }),
    ).toThrow('not one of those allowed')
  })
})
