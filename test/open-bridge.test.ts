import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Bridge, openBridge } from '../src/index.ts'
import { createSandbox, type Sandbox } from '../src/sandbox/index.ts'
import { openStore } from '../src/stores/open.ts'
import { saveApplication } from '../src/stores/queries/applications.ts'
import { saveAlias, savePortal } from '../src/stores/queries/portals.ts'
import { saveTokens } from '../src/stores/queries/tokens.ts'
import { unlockStore } from '../src/stores/unlock.ts'

const APPLICATION = { clientId: 'local.shop', clientSecret: 'shop-secret' }
const HOUR_MS = 3_600_000

/** A store that knows one portal with two users, and a bridge over it. */
async function open(): Promise<{ bridge: Bridge; sandbox: Sandbox; domain: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'b24-library-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const sandbox = await createSandbox({ limits: 'off', applications: [APPLICATION] })
  onTestFinished(() => sandbox.close())
  const address = `sqlite:${join(folder, 'bridge.db')}`
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
  const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
  await savePortal(store.db, { memberId, domain, clientEndpoint, serverEndpoint }, Date.now())
  await saveAlias(store.db, 'shop', memberId)
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Shop' }, Date.now())
  for (const userId of ['1', '2']) {
    const { token } = await sandbox.app({
      do: 'token',
      clientId: APPLICATION.clientId,
      userId: Number(userId),
    })
    const pair = { accessToken: token?.access_token ?? '', refreshToken: token?.refresh_token ?? '' }
    await saveTokens(
      store.db,
      secrets,
      { memberId, clientId: APPLICATION.clientId, userId },
      pair,
      Date.now(),
    )
  }
  await store.close()
  const bridge = await openBridge({ store: address, limit: 'off', oauthServers: [sandbox.oauthUrl] })
  onTestFinished(() => bridge.close())
  return { bridge, sandbox, domain }
}

describe('the portals of a store, in a program of one’s own', () => {
  it('are called side by side, by name and in the name of their users', async () => {
    const { bridge, domain } = await open()
    const [one, two] = await Promise.all([
      bridge.portal(domain).call('profile'),
      bridge.portal('shop', { as: '2' }).call('profile'),
    ])
    expect(one).toMatchObject({ ID: '1' })
    expect(two).toMatchObject({ ID: '2' })
  })

  it('renew their tokens by themselves, once for many calls', async () => {
    const { bridge, sandbox } = await open()
    sandbox.advance(2 * HOUR_MS)
    const shop = bridge.portal('shop')
    const ids = Array.from({ length: 60 }, (_, i) => i + 1)
    const deals = await Promise.all(ids.map((id) => shop.call<{ ID: string }>('crm.deal.get', { id })))
    expect(deals.map(({ ID }) => Number(ID))).toEqual(ids)
    expect(sandbox.oauthStats().refreshes.ok).toBe(1)
  })

  it('may be named by the address of a webhook, which need not be in the store', async () => {
    const { bridge, sandbox } = await open()
    expect(await bridge.portal(sandbox.webhookUrl).call('profile')).toMatchObject({ ID: '1' })
  })

  it('say with the first call that nobody knows them, and throw nothing before', async () => {
    const { bridge } = await open()
    const ghost = bridge.portal('ghost.bitrix24.com')
    await expect(ghost.call('profile')).rejects.toMatchObject({ code: 'PORTAL_UNKNOWN' })
    expect((await ghost.send('profile')).error).toMatchObject({ code: 'PORTAL_UNKNOWN' })
  })
})
