import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { keepSpare } from '../../../src/stores/queries/spare-tokens.ts'
import { builtFolder, needsBuilt } from '../../support/built.ts'
import { DATABASES } from '../../support/databases.ts'
import { APPLICATION, HOUR_MS, openShop, SECRET_KEY, type Shop } from './shop.ts'

const CHILD = fileURLToPath(new URL('./child.mjs', import.meta.url))

needsBuilt()

const closing: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

const postgres = DATABASES.find(({ name }) => name === 'PostgreSQL')!

interface Result {
  readonly right: number
  readonly errors: readonly (string | true)[]
  readonly logs: readonly { readonly event: string }[]
}

/** A process of its own; `go` lets it make its calls and gives what it says, or nothing when it was killed. */
async function start(
  shop: Shop,
  url: string,
  { stopAt, calls = 50 }: { stopAt?: string; calls?: number } = {},
) {
  const { folder, portal, key } = shop
  const orders = {
    dist: join(builtFolder(), 'dist'),
    url,
    secretKey: SECRET_KEY,
    folder,
    oauthUrl: shop.sandbox.oauthUrl,
    portal,
    key,
    calls,
    leaseMs: 1500,
    stopAt,
  }
  const child = spawn(process.execPath, [CHILD, JSON.stringify(orders)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  closing.push(async () => void child.kill('SIGKILL'))
  let output = ''
  child.stdout.on('data', (chunk) => {
    output += chunk
  })
  const ended = once(child, 'close')
  while (!output.includes('ready')) await Promise.race([once(child.stdout, 'data'), ended])
  return async (): Promise<Result | undefined> => {
    child.stdin.write('go\n')
    await ended
    const line = output.split('\n')[1] ?? ''
    return line === '' ? undefined : (JSON.parse(line) as Result)
  }
}

async function open(): Promise<{ shop: Shop; url: string }> {
  const place = await postgres.create()
  closing.push(() => place.drop())
  const shop = await openShop(place.url)
  closing.push(() => shop.close())
  shop.sandbox.advance(2 * HOUR_MS)
  return { shop, url: place.url }
}

describe.skipIf(postgres.skip)(`several processes with one expired token${postgres.note}`, () => {
  it('renew it once for 200 calls of 4 processes, and all are answered right', async () => {
    const { shop, url } = await open()
    const children = await Promise.all([1, 2, 3, 4].map(() => start(shop, url)))
    const results = await Promise.all(children.map((go) => go()))
    expect(results.map((result) => result?.errors)).toEqual([1, 2, 3, 4].map(() => [true]))
    expect(results.reduce((sum, result) => sum + (result?.right ?? 0), 0)).toBe(200)
    expect(shop.sandbox.oauthStats().refreshes).toEqual({ ok: 1 })
  }, 60_000)

  it.each([
    ['it has the right to renew', 'claimed'],
    ['the pair is on the disk', 'spooled'],
    ['the pair is in the store', 'stored'],
    ['the spool is tidied', 'tidied'],
  ])(
    'go on with one renewal when the renewing one is killed as soon as %s',
    async (_, stopAt) => {
      const { shop, url } = await open()
      const other = await start(shop, url)
      const victim = await start(shop, url, { stopAt })
      expect(await victim()).toBeUndefined()
      expect(await other()).toMatchObject({ right: 50, errors: [true] })
      expect(shop.sandbox.oauthStats().refreshes).toEqual({ ok: 1 })
      expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'active' })
    },
    60_000,
  )

  it('say why the portal is suspended when the renewing one is killed with the pair in its hands', async () => {
    const { shop, url } = await open()
    expect(await (await start(shop, url, { stopAt: 'answered' }))()).toBeUndefined()
    const result = await (await start(shop, url))()
    expect(result).toMatchObject({ right: 0, errors: [expect.stringContaining('PORTAL_SUSPENDED')] })
    expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({
      state: 'suspended',
      reason: expect.stringContaining('invalid_grant'),
    })
    expect(shop.sandbox.oauthStats().refreshes).toEqual({ ok: 1, invalid_grant: 1 })
  }, 60_000)

  it('live on by a spare chain when the renewing one is killed with the pair in its hands', async () => {
    const { shop, url } = await open()
    const { token } = await shop.sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
    const pair = { accessToken: token!.access_token, refreshToken: token!.refresh_token }
    await keepSpare(shop.store.db, shop.secrets, shop.key, { source: 'event', pair, now: Date.now() })
    expect(await (await start(shop, url, { stopAt: 'answered' }))()).toBeUndefined()
    expect(await (await start(shop, url))()).toMatchObject({ right: 50, errors: [true] })
    expect(await shop.queries.portal(shop.key.memberId)).toMatchObject({ state: 'active' })
  }, 60_000)
})
