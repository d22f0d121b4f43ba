import { afterEach, describe, expect, it } from 'vitest'
import { trusting } from '../../../src/client/authorities.ts'
import { type Client, createClient } from '../../../src/client/client.ts'
import { createAuthorizationServer } from '../../../src/client/oauth.ts'
import type { Credential } from '../../../src/model/credential.ts'
import { keepSpare } from '../../../src/stores/queries/spare-tokens.ts'
import { DATABASES } from '../../support/databases.ts'
import { APPLICATION, HOUR_MS, openShop, type Shop } from './shop.ts'

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function open(database: (typeof DATABASES)[number]): Promise<Shop> {
  const place = await database.create()
  closing.push(() => place.drop())
  const shop = await openShop(place.url)
  closing.push(() => shop.close())
  return shop
}

function client(credential: Credential, portalWaitMs = 3000): Client {
  const b24 = createClient({ credential, limit: 'off', portalWaitMs })
  closing.push(() => b24.close())
  return b24
}

const refreshes = (shop: Shop): unknown => shop.sandbox.oauthStats().refreshes
const events = (shop: Shop): string[] => shop.logs.map(({ event }) => event)

it('renews at a self-hosted server with a certificate of its own, which is trusted besides the usual ones', async () => {
  const shop = await openShop('sqlite::memory:', { tls: true })
  closing.push(() => shop.close())
  const { oauthUrl, certificate } = shop.sandbox
  const at = (ca?: string) =>
    shop.keeper({
      server: () =>
        createAuthorizationServer({
          origin: oauthUrl,
          allowed: [oauthUrl],
          now: Date.now,
          ...(ca && { ca }),
        }),
    })
  await expect(at().refresh(shop.key)).rejects.toMatchObject({ retryable: true, mayHaveRun: false })
  await new Promise((resolve) => setTimeout(resolve, 60)) // the pause after a failure, by the clock of the database
  expect(await at(certificate).refresh(shop.key)).toMatchObject({ version: 2 })
  expect(trusting(certificate).ca!.length).toBeGreaterThan(50)
})

for (const database of DATABASES.filter(({ name }) => /SQLite|PostgreSQL/.test(name))) {
  describe.skipIf(database.skip)(`the keeper of tokens on ${database.name}${database.note}`, () => {
    it('uses the stored token and asks for no other', async () => {
      const shop = await open(database)
      const b24 = client(shop.keeper().credentialFor(shop.portal, shop.key))
      expect(await b24.call('profile')).toMatchObject({ ID: '1' })
      expect(refreshes(shop)).toEqual({})
    })

    it('renews an expired token once for a hundred calls by four keepers, and all are answered', async () => {
      const shop = await open(database)
      shop.sandbox.advance(2 * HOUR_MS)
      const clients = [1, 2, 3, 4].map((n) =>
        client(shop.keeper({ owner: `process-${n}` }).credentialFor(shop.portal, shop.key)),
      )
      const ids = Array.from({ length: 100 }, (_, i) => (i % 50) + 1)
      const deals = await Promise.all(
        ids.map((id, i) => clients[i % 4]!.call<{ ID: string }>('crm.deal.get', { id })),
      )
      expect(deals.map(({ ID }) => Number(ID))).toEqual(ids)
      expect(refreshes(shop)).toEqual({ ok: 1 })
      expect(events(shop).filter((event) => event === 'token.refreshed')).toHaveLength(1)
      expect(await shop.spool().list()).toEqual([])
    })

    it('renews before the call when less than a minute is left', async () => {
      const shop = await open(database)
      const stored = await shop.queries.find(shop.key)
      await shop.queries.save(shop.key, { ...stored!, expiresAt: Date.now() + 30_000 }, Date.now())
      const b24 = client(shop.keeper().credentialFor(shop.portal, shop.key))
      await b24.call('profile')
      expect(refreshes(shop)).toEqual({ ok: 1 })
      expect(shop.sandbox.stats().refused).toEqual({})
    })

    it('takes the pair that another process has stored instead of renewing again', async () => {
      const shop = await open(database)
      const [one, two] = ['one', 'two'].map((owner) =>
        client(shop.keeper({ owner }).credentialFor(shop.portal, shop.key)),
      )
      await one!.call('profile')
      await two!.call('profile')
      shop.sandbox.advance(2 * HOUR_MS)
      await one!.call('profile')
      await two!.call('profile')
      expect(refreshes(shop)).toEqual({ ok: 1 })
    })

    it('suspends the portal with the reason when the refresh token is refused, and asks no more', async () => {
      const shop = await open(database)
      const credential = shop.keeper().credentialFor(shop.portal, shop.key)
      const stored = await shop.queries.find(shop.key)
      await shop.queries.save(shop.key, { ...stored!, refreshToken: 'stolen' }, Date.now())
      shop.sandbox.advance(2 * HOUR_MS)
      const b24 = client(credential)
      const failed = await Promise.all([1, 2, 3].map(() => b24.send('profile')))
      for (const { error } of failed)
        expect(error).toMatchObject({ code: 'PORTAL_SUSPENDED', status: 403, mayHaveRun: false })
      expect(failed[0]!.error!.message).toContain('invalid_grant')
      expect(failed[0]!.error!.hint).toContain('authorize')
      expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'suspended' })
      expect(refreshes(shop)).toEqual({ invalid_grant: 1 })
      expect(events(shop)).toEqual(expect.arrayContaining(['token.dead', 'portal.suspended']))
    })

    it('lives on by a spare chain, the newest orphan first, when the refresh token is lost', async () => {
      const shop = await open(database)
      const stored = (await shop.queries.find(shop.key))!
      const spare = await shop.sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
      const pairs = [
        { accessToken: 'a', refreshToken: 'worthless' },
        { accessToken: spare.token!.access_token, refreshToken: spare.token!.refresh_token },
      ]
      await keepSpare(shop.store.db, shop.secrets, shop.key, { source: 'orphan', pair: pairs[0]!, now: 2 })
      await keepSpare(shop.store.db, shop.secrets, shop.key, { source: 'event', pair: pairs[1]!, now: 3 })
      await shop.queries.save(shop.key, { ...stored, refreshToken: 'lost' }, Date.now())
      shop.sandbox.advance(2 * HOUR_MS)
      const b24 = client(shop.keeper().credentialFor(shop.portal, shop.key))
      expect(await b24.call('profile')).toMatchObject({ ID: '1' })
      expect(await shop.queries.spares(shop.key)).toEqual([])
      expect(refreshes(shop)).toEqual({ ok: 1, invalid_grant: 2 })
    })

    it('does not live on by a chain of another user, whatever the event said that brought it', async () => {
      const shop = await open(database)
      const stored = (await shop.queries.find(shop.key))!
      const grant = async (userId: number) => {
        const { token } = await shop.sandbox.app({ do: 'token', clientId: APPLICATION.clientId, userId })
        return { accessToken: token!.access_token, refreshToken: token!.refresh_token }
      }
      const [own, strange] = [await grant(1), await grant(2)]
      await keepSpare(shop.store.db, shop.secrets, shop.key, { source: 'event', pair: own, now: 2 })
      await keepSpare(shop.store.db, shop.secrets, shop.key, { source: 'orphan', pair: strange, now: 3 })
      await shop.queries.save(shop.key, { ...stored, refreshToken: 'lost' }, Date.now())
      shop.sandbox.advance(2 * HOUR_MS)
      const b24 = client(shop.keeper().credentialFor(shop.portal, shop.key))
      expect(await b24.call('profile')).toMatchObject({ ID: '1' })
      expect(await shop.queries.spares(shop.key)).toEqual([])
    })

    it('tries the old token once more when an answer was lost, and then gives the reason', async () => {
      const shop = await open(database)
      shop.sandbox.advance(2 * HOUR_MS)
      shop.sandbox.fault([{ kind: 'reset', match: { method: 'oauth.token' } }])
      const b24 = client(shop.keeper().credentialFor(shop.portal, shop.key))
      expect(await b24.call('profile')).toMatchObject({ ID: '1' })
      shop.sandbox.advance(2 * HOUR_MS)
      shop.sandbox.fault([{ kind: 'reset-after', match: { method: 'oauth.token' } }])
      const { error } = await b24.send('profile')
      expect(error).toMatchObject({ code: 'PORTAL_SUSPENDED' })
      expect(error!.message).toContain('invalid_grant')
    })

    it('stays alive for other users, and comes back with new tokens', async () => {
      const shop = await open(database)
      const second = await shop.authorize(2)
      const stored = (await shop.queries.find(shop.key))!
      await shop.queries.save(shop.key, { ...stored, refreshToken: 'lost' }, Date.now())
      shop.sandbox.advance(2 * HOUR_MS)
      const keeper = shop.keeper()
      const [one, two] = [shop.key, second].map((key) => client(keeper.credentialFor(shop.portal, key)))
      expect((await one!.send('profile')).error).toMatchObject({ code: 'TOKENS_DEAD' })
      expect(await two!.call('profile')).toMatchObject({ ID: '2' })
      expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'active' })
      await shop.authorize()
      await new Promise((resolve) => setTimeout(resolve, 3100)) // a refusal is looked at again after three seconds
      expect(await one!.call('profile')).toMatchObject({ ID: '1' })
    })

    it('suspends for a while when the application is wrong, and leaves the tokens alone', async () => {
      const shop = await open(database)
      shop.sandbox.advance(2 * HOUR_MS)
      await shop.sandbox.app({ do: 'pay', clientId: APPLICATION.clientId, paid: false })
      const keeper = shop.keeper()
      await expect(keeper.refresh(shop.key)).rejects.toMatchObject({ code: 'PORTAL_SUSPENDED' })
      const portal = await shop.queries.portal(shop.key.memberId)
      expect(portal).toMatchObject({
        state: 'suspended',
        reason: expect.stringContaining('PAYMENT_REQUIRED'),
      })
      expect(portal!.nextTry).toBeGreaterThan(Date.now())
      await shop.sandbox.app({ do: 'pay', clientId: APPLICATION.clientId, paid: true })
      await new Promise((resolve) => setTimeout(resolve, 60)) // the pause after a failure, by the clock of the database
      await keeper.refresh(shop.key)
      expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'active' })
    })

    it('sends no secret to a server that nobody allowed', async () => {
      const shop = await open(database)
      await shop.queries.savePortal(
        { ...shop.portal, serverEndpoint: 'https://evil.example/rest/' },
        Date.now(),
      )
      await expect(shop.keeper().refresh(shop.key)).rejects.toMatchObject({
        code: 'PORTAL_SUSPENDED',
        hint: expect.stringContaining('BRIDGE_OAUTH_SERVERS'),
      })
      expect(refreshes(shop)).toEqual({})
    })

    it('keeps the new pair on the disk while the store is away, uses it only when it is stored, and loses none', async () => {
      const shop = await open(database)
      shop.sandbox.advance(2 * HOUR_MS)
      let away = true
      const queries = {
        ...shop.queries,
        storeRenewed: async (...args: Parameters<Shop['queries']['storeRenewed']>) => {
          if (away) throw new Error('the database is away')
          return shop.queries.storeRenewed(...args)
        },
      }
      const keeper = shop.keeper({ store: queries, leaseMs: 400, replayMs: 50 })
      const b24 = client(keeper.credentialFor(shop.portal, shop.key), 20_000)
      const answer = b24.call('profile')
      await expect.poll(() => shop.spool().list(), { timeout: 5000 }).toHaveLength(1)
      away = false
      await keeper.start()
      expect(await answer).toMatchObject({ ID: '1' })
      expect(refreshes(shop)).toEqual({ ok: 1 })
      expect(await shop.spool().list()).toEqual([])
    })

    it('revives dead tokens from a spool that came late', async () => {
      const shop = await open(database)
      const stored = (await shop.queries.find(shop.key))!
      const fresh = await shop.sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
      const pair = { accessToken: fresh.token!.access_token, refreshToken: fresh.token!.refresh_token }
      await shop.spool().add({ key: shop.key, epoch: 0, pair })
      await shop.queries.markDead(shop.key, { version: stored.version, reason: 'invalid_grant' })
      await shop.queries.suspend(shop.key.memberId, { reason: 'invalid_grant', now: Date.now() })
      const keeper = shop.keeper()
      await keeper.start()
      const b24 = client(keeper.credentialFor(shop.portal, shop.key))
      expect(await b24.call('profile')).toMatchObject({ ID: '1' })
      expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'active' })
    })

    it('renews idle pairs by one process only, and none that are in use', async () => {
      const shop = await open(database)
      const stored = (await shop.queries.find(shop.key))!
      await shop.authorize(2)
      await shop.queries.save(shop.key, stored, Date.now() - 151 * 24 * HOUR_MS)
      const keepers = ['one', 'two'].map((owner) => shop.keeper({ owner, keepAliveMs: 40 }))
      await Promise.all(keepers.map((keeper) => keeper.start()))
      await expect.poll(() => refreshes(shop), { timeout: 5000 }).toEqual({ ok: 1 })
      await new Promise((resolve) => setTimeout(resolve, 200)) // nothing more may come
      expect(refreshes(shop)).toEqual({ ok: 1 })
    })

    it('writes no token and no secret into its log', async () => {
      const shop = await open(database)
      shop.sandbox.advance(2 * HOUR_MS)
      const keeper = shop.keeper()
      const renewed = await keeper.refresh(shop.key)
      const gone = await shop.queries.find(shop.key)
      await shop.queries.save(shop.key, { ...gone!, refreshToken: 'lost-r3fresh' }, Date.now())
      const error = await keeper.refresh(shop.key).catch((caught: unknown) => caught)
      const written = JSON.stringify(shop.logs) + String(error) + JSON.stringify(error)
      const secrets = [
        ...shop.given,
        renewed.accessToken,
        renewed.refreshToken!,
        APPLICATION.clientSecret,
        'lost-r3fresh',
      ]
      for (const secret of secrets) expect(written.includes(secret)).toBe(false)
      expect(events(shop)).toEqual(expect.arrayContaining(['token.refreshed', 'portal.suspended']))
    })
  })
}
