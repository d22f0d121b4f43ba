import { expect, it } from 'vitest'
import { send } from '../sandbox/ask.ts'
import { CLIENT_ID, CLIENT_SECRET, type Connecting, connecting, storedTokens } from './connecting.ts'

const open = (options: Parameters<typeof connecting>[0] = {}): Promise<Connecting> =>
  connecting({
    application: (bridge) => ({ redirectUri: `${bridge}/oauth/callback`, scopes: ['crm', 'user'] }),
    ...options,
  })

/** From `/oauth/start` through the portal; the address to which the portal sends the browser back. */
async function agree(bench: Connecting, user = '1'): Promise<URL> {
  const { sandbox } = bench
  const start = await bench.visit(`/oauth/start?domain=${encodeURIComponent(sandbox.url)}`)
  expect(start.status).toBe(302)
  const back = await send(`${start.headers.get('location')}&auto=1&user=${user}`)
  return new URL(String(back.headers.location))
}

it('connects a portal: to its page, back with a code, exchanged at once', async () => {
  const bench = await open()
  const { sandbox } = bench
  const start = await bench.visit(
    `/oauth/start?domain=${encodeURIComponent(sandbox.url)}&client_id=${CLIENT_ID}`,
  )
  const target = new URL(start.headers.get('location') ?? '')
  expect(`${target.origin}${target.pathname}`).toBe(`${sandbox.url}/oauth/authorize/`)
  expect(target.searchParams.get('client_id')).toBe(CLIENT_ID)
  const back = await agree(bench)
  const done = await bench.visit(back.href)
  const { memberId, domain } = sandbox.identity()
  expect([done.status, done.json]).toEqual([
    200,
    expect.objectContaining({ status: 'ok', member_id: memberId, domain, client_id: CLIENT_ID }),
  ])
  expect(done.json.check).toMatchObject({ is_admin: true, missing: [], scope: ['crm', 'user'] })
  expect(done.text).not.toContain(back.searchParams.get('code'))
  expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1 })
  expect(await storedTokens(bench)).toMatchObject({ state: 'active', scope: ['crm', 'user'], status: 'L' })
  expect(bench.changed).toEqual([memberId])
  expect(bench.logged.map(({ event }) => event)).toEqual(['install.saved', 'install.checked'])
})

it('shows people a page without scripts and without the code', async () => {
  const bench = await open()
  const back = await agree(bench)
  const page = await bench.visit(back.href, 'text/html')
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8')
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'")
  expect(page.text).toContain(`${bench.sandbox.identity().domain} is connected`)
  expect(page.text).not.toContain(back.searchParams.get('code'))
})

it('keeps tokens of several users side by side, and who installed it', async () => {
  const bench = await open()
  await bench.visit((await agree(bench, '1')).href)
  const second = await bench.visit((await agree(bench, '3')).href)
  expect(second.json.check.missing).toEqual([
    'The user is no administrator: events and other data of the whole portal stay closed.',
  ])
  expect(await bench.rows()).toMatchObject({ installations: 1, tokens: 2 })
  const { memberId } = bench.sandbox.identity()
  expect((await bench.installs.show(memberId)).installations[0]?.userId).toBe('1')
})

it('learns who the user is when the token answer does not say it', async () => {
  const bench = await open({ sandbox: { switches: { sparseTokens: true } } })
  await bench.visit((await agree(bench, '2')).href)
  expect(await storedTokens(bench, '2')).toBeDefined()
})

it('writes nothing for a code that is too old, used, or made up', async () => {
  const bench = await open()
  const late = await agree(bench)
  bench.sandbox.advance(31_000)
  const tooLate = await bench.visit(late.href)
  expect([tooLate.status, tooLate.json.error]).toEqual([400, 'CODE_REFUSED'])
  expect(tooLate.json.error_description).toContain('lives 30 seconds')

  const spent = await agree(bench)
  await send(
    `${bench.sandbox.oauthUrl}/oauth/token/?${new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: CLIENT_ID,
      client_secret: CLIENT_SECRET,
      code: spent.searchParams.get('code') ?? '',
    })}`,
  )
  expect((await bench.visit(spent.href)).json.error).toBe('CODE_REFUSED')

  const forged = await agree(bench)
  forged.searchParams.set('code', 'made-up')
  expect((await bench.visit(forged.href)).json.error).toBe('CODE_REFUSED')
  expect(await bench.rows()).toEqual({})
  expect(bench.refusals()).toEqual(['CODE_REFUSED'])
})

it('takes a state once: a replay is refused before the code is sent anywhere', async () => {
  const bench = await open()
  const back = await agree(bench)
  expect((await bench.visit(back.href)).status).toBe(200)
  const exchanges = bench.sandbox.oauthStats().exchanges
  const again = await agree(bench)
  again.searchParams.set('state', back.searchParams.get('state') ?? '')
  const replayed = await bench.visit(again.href)
  expect([replayed.status, replayed.json.error]).toEqual([409, 'STATE_USED'])
  expect(bench.sandbox.oauthStats().exchanges).toEqual(exchanges)
  expect(bench.refusals()).toEqual(['STATE_USED'])
})

it('refuses a state that was changed, made up, left out or is ten minutes old', async () => {
  const bench = await open()
  const back = await agree(bench)
  const [payload = '', signature] = (back.searchParams.get('state') ?? '').split('.')
  const parts = JSON.parse(Buffer.from(payload, 'base64url').toString()) as string[]
  const other = Buffer.from(JSON.stringify([parts[0], parts[1], 'evil.example', parts[3]])).toString(
    'base64url',
  )
  for (const state of [`${other}.${signature}`, 'x', `${payload}.`, `${payload}.${signature}.x`, '']) {
    back.searchParams.set('state', state)
    const answer = await bench.visit(back.href)
    expect([state, answer.status, answer.json.error]).toEqual([state, 400, 'STATE_INVALID'])
  }
  const slow = await agree(bench)
  bench.advance(10 * 60_000 + 1)
  expect((await bench.visit(slow.href)).json.error).toBe('STATE_EXPIRED')
  expect(await bench.rows()).toEqual({})
})

it('says that the secret is wrong, and that an unknown server gets none', async () => {
  const bench = await open({ clientSecret: 'not-the-secret' })
  const wrong = await bench.visit((await agree(bench)).href)
  expect([wrong.status, wrong.json.error]).toEqual([502, 'APPLICATION_REFUSED'])
  const back = await agree(bench)
  back.searchParams.set('server_domain', 'oauth.evil.example')
  const evil = await bench.visit(back.href)
  expect([evil.status, evil.json.error]).toEqual([403, 'SERVER_NOT_ALLOWED'])
  expect(await bench.rows()).toEqual({})
  expect(bench.refusals()).toEqual(['APPLICATION_REFUSED', 'SERVER_NOT_ALLOWED'])
})

it('refuses a code of another portal than the one that was begun with', async () => {
  const bench = await open({ sandbox: { host: '0.0.0.0' } })
  const back = await agree(bench)
  const { code } = await bench.sandbox.app({ do: 'authorize', clientId: CLIENT_ID }, '127.0.0.2')
  back.searchParams.set('code', code ?? '')
  expect((await bench.visit(back.href)).json.error).toBe('MEMBER_MISMATCH')
  const second = await agree(bench)
  const other = await bench.sandbox.app({ do: 'authorize', clientId: CLIENT_ID }, '127.0.0.2')
  second.searchParams.set('code', other.code ?? '')
  second.searchParams.delete('member_id')
  expect((await bench.visit(second.href)).json.error).toBe('DOMAIN_MISMATCH')
  expect(await bench.rows()).toEqual({})
})

it.each([
  ['example.bitrix24.com', 'https://example.bitrix24.com'],
  ['https://Example.Bitrix24.COM/', 'https://example.bitrix24.com'],
  ['http://example.bitrix24.com/crm/deal/', 'https://example.bitrix24.com'],
  ['  example.bitrix24.com  ', 'https://example.bitrix24.com'],
  ['пример.bitrix24.ru', 'https://xn--e1afmkfd.bitrix24.ru'],
  ['crm.example.org:8443', 'https://crm.example.org:8443'],
  ['http://127.0.0.1:9000', 'http://127.0.0.1:9000'],
])('sends the user of %s to %s', async (domain, origin) => {
  const bench = await open()
  const start = await bench.visit(`/oauth/start?domain=${encodeURIComponent(domain)}`)
  expect(new URL(start.headers.get('location') ?? '').origin).toBe(origin)
})

it.each([
  '',
  'nodot',
  'a..b.com',
  'user@evil.example',
  'javascript:alert(1)',
  'ftp://a.example',
  'a b.com',
  '%00',
])('refuses the domain "%s"', async (domain) => {
  const bench = await open()
  const start = await bench.visit(`/oauth/start?domain=${encodeURIComponent(domain)}`)
  expect([start.status, start.json.error]).toEqual([400, 'DOMAIN_INVALID'])
  expect(start.headers.get('location')).toBeNull()
})

it('needs to know the application', async () => {
  const bench = await open()
  const unknown = await bench.visit('/oauth/start?domain=a.example&client_id=nobody')
  expect([unknown.status, unknown.json.error]).toEqual([403, 'APPLICATION_UNKNOWN'])
  await bench.store.db.deleteFrom('applications').execute()
  const none = await bench.visit('/oauth/start?domain=a.example', 'text/html')
  expect(none.status).toBe(400)
  expect(none.text).toContain('APPLICATION_MISSING')
})

it('takes a state once of all processes at the store', async () => {
  const bench = await open()
  const { searchParams } = await agree(bench)
  const answer = {
    code: searchParams.get('code') ?? '',
    state: searchParams.get('state') ?? '',
    serverDomain: searchParams.get('server_domain') ?? '',
  }
  const ended = await Promise.allSettled(
    [bench.installs, bench.anotherProcess()].map((one) => one.finish(answer)),
  )
  expect(ended.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  expect(ended.find((one) => one.status === 'rejected')?.reason.code).toBe('STATE_USED')
  expect(bench.sandbox.oauthStats().exchanges).toEqual({ ok: 1 })
})

it('says neither code nor tokens nor the client secret in any answer or log line', async () => {
  const bench = await open()
  const back = await agree(bench)
  await bench.visit(back.href, 'text/html')
  await bench.visit(back.href)
  const other = await agree(bench)
  bench.sandbox.advance(60_000)
  await bench.visit(other.href)
  const tokens = await storedTokens(bench)
  const written = JSON.stringify([bench.answers, bench.logged, bench.server.logged])
  for (const url of [back, other]) expect(written).not.toContain(url.searchParams.get('code'))
  for (const secret of [CLIENT_SECRET, tokens?.accessToken, tokens?.refreshToken])
    expect(written).not.toContain(secret)
})
