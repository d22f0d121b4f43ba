import { expect, it } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { openStore } from '../../src/stores/open.ts'
import { saveApplication } from '../../src/stores/queries/applications.ts'
import { findPortal, saveAlias, savePortal } from '../../src/stores/queries/portals.ts'
import { findTokens, saveTokens } from '../../src/stores/queries/tokens.ts'
import { unlockStore } from '../../src/stores/unlock.ts'
import { type Bench, openBench } from '../support/bridge.ts'

const APPLICATION = { clientId: 'local.shop', clientSecret: 'sh0p-s3cret-of-the-tests' }
const KEY = Buffer.alloc(32, 5).toString('base64')
const HOUR_MS = 3_600_000
const SECOND = '127.0.0.2'

interface Connected {
  readonly bench: Bench
  /** Member ids of the two portals. */
  readonly members: readonly [string, string]
  /** Nothing of this may be seen outside. */
  readonly secrets: string[]
}

/** A bridge with two portals in its store, each with tokens of two users, and no default portal. */
async function openConnected(): Promise<Connected> {
  const bench = await openBench({
    broker: 'embedded',
    sandbox: { host: '0.0.0.0', applications: [APPLICATION], oauthPort: 0 },
    env: { BRIDGE_SECRET_KEY: `k1:${KEY}`, BRIDGE_PORTAL: '' },
    started: false,
  })
  const { sandbox, env, folder } = bench
  const config = readConfig({ env, cwd: folder })
  const store = await openStore(config.store, { now: Date.now, exclusive: false })
  const unlocking = { address: config.store, given: config.secretKey, production: false, now: Date.now }
  const secrets = await unlockStore(store, unlocking)
  const given = [KEY, APPLICATION.clientSecret]
  await saveApplication(store.db, secrets, { ...APPLICATION, name: 'Shop' }, Date.now())
  const members: string[] = []
  for (const host of [undefined, SECOND]) {
    const portal = sandbox.identity(host)
    members.push(portal.memberId)
    await savePortal(store.db, portal, Date.now())
    for (const userId of [1, 2]) {
      const { token } = await sandbox.app({ do: 'token', clientId: APPLICATION.clientId, userId }, host)
      const { access_token: accessToken, refresh_token: refreshToken } = token!
      given.push(accessToken, refreshToken)
      const key = { memberId: portal.memberId, clientId: APPLICATION.clientId, userId: String(userId) }
      await saveTokens(store.db, secrets, key, { accessToken, refreshToken }, Date.now() + userId)
    }
  }
  await saveAlias(store.db, 'second', members[1]!)
  await store.close()
  // Self-hosted in the eyes of the bridge: its authorization server is not the cloud's.
  Object.assign(bench.env, { BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl })
  await bench.start()
  return { bench, members: [members[0]!, members[1]!], secrets: given }
}

/** Every token that is in the store by now too. */
async function storedSecrets({ bench, members }: Connected): Promise<string[]> {
  const { env, folder } = bench
  const config = readConfig({ env, cwd: folder })
  await using store = await openStore(config.store, { now: Date.now, exclusive: false })
  const unlocking = { address: config.store, given: config.secretKey, production: false, now: Date.now }
  const secrets = await unlockStore(store, unlocking)
  const found: string[] = []
  for (const memberId of members) {
    for (const userId of ['1', '2']) {
      const key = { memberId, clientId: APPLICATION.clientId, userId }
      const tokens = await findTokens(store.db, secrets, key)
      found.push(tokens!.accessToken, tokens!.refreshToken!)
    }
  }
  return found
}

it('serves two portals and their users by one queue, renews once each, and shows no secret', async () => {
  const connected = await openConnected()
  await using bench = connected.bench
  const [first, second] = connected.members
  const ask = async (portal: string, as?: string) =>
    (await bench.ask({ method: 'profile', portal, ...(as && { as }) })).body
  expect(await ask(first)).toMatchObject({ outcome: 'done', result: { ID: '1' } })
  expect(await ask(second, '2')).toMatchObject({ outcome: 'done', result: { ID: '2' } })
  expect(await ask('second')).toMatchObject({ outcome: 'done', portal: expect.stringContaining(SECOND) })

  bench.sandbox.advance(2 * HOUR_MS)
  const wishes = Array.from({ length: 80 }, (_, n) => [
    n % 2 === 0 ? first : second,
    String((n % 4 < 2 ? 0 : 1) + 1),
  ])
  const answers = await Promise.all(wishes.map(([portal, as]) => ask(portal!, as)))
  expect(answers.map(({ result }) => result?.ID)).toEqual(wishes.map(([, as]) => as))
  expect(bench.sandbox.oauthStats().refreshes).toEqual({ ok: 4 })
  expect(bench.logged('token.refreshed')).toHaveLength(4)

  expect(await ask('nobody.bitrix24.com')).toMatchObject({ error: { code: 'PORTAL_UNKNOWN' } })
  expect(await ask(first, '77')).toMatchObject({ error: { code: 'USER_UNKNOWN' } })
  expect((await bench.ask({ method: 'profile' })).body).toMatchObject({ error: { code: 'PORTAL_MISSING' } })

  const outside = bench.logs() + JSON.stringify(bench.replies.map(({ body }) => body))
  for (const secret of [...connected.secrets, ...(await storedSecrets(connected))])
    expect(outside.includes(secret), 'a secret got out').toBe(false)
  await bench.account()
})

it('answers with the reason when a portal does not accept us any more, and serves the other one', async () => {
  const connected = await openConnected()
  await using bench = connected.bench
  const [first, second] = connected.members
  await bench.sandbox.app({ do: 'pay', clientId: APPLICATION.clientId, paid: false }, SECOND)
  bench.sandbox.advance(2 * HOUR_MS)
  const ask = async (portal: string) => (await bench.ask({ method: 'profile', portal })).body
  const refused = {
    outcome: 'failed',
    status_code: 403,
    error: { code: 'PORTAL_SUSPENDED', retryable: false },
  }
  const both = await Promise.all([ask(second), ask(first)])
  expect(both[0]).toMatchObject(refused)
  expect(both[0].error.description).toContain('PAYMENT_REQUIRED')
  expect(both[0].error.hint).toContain('subscription')
  expect(both[1]).toMatchObject({ outcome: 'done', result: { ID: '1' } })
  // Found out before anything is sent from then on.
  expect(await ask(second)).toMatchObject(refused)
  expect(bench.logged('portal.suspended')).toMatchObject([{ member: second, level: 40 }])
  const config = readConfig({ env: bench.env, cwd: bench.folder })
  await using store = await openStore(config.store, { now: Date.now, exclusive: false })
  expect(await findPortal(store.db, second)).toMatchObject({
    state: 'suspended',
    nextTry: expect.any(Number),
  })
})
