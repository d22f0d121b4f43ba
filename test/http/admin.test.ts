import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'
import { INSTALL_REFUSALS } from '../../src/bridge/installs/refusals.ts'
import { CLIENT_ID, type Connecting, connecting, storedTokens } from './connecting.ts'
import { type Answer, ask } from './running.ts'

const open = (options: Parameters<typeof connecting>[0] = {}): Promise<Connecting> =>
  connecting({ application: { installed: true, scopes: ['crm'] }, ...options })

async function put(bench: Connecting, id: string, body: unknown): Promise<Answer> {
  const answer = await ask(`${bench.server.url}/v1/portals/${id}/tokens`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  bench.answers.push(answer.text)
  return answer
}

async function pairOf({ sandbox }: Connecting, portal?: string) {
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID }, portal)
  return { access_token: token?.access_token ?? '', refresh_token: token?.refresh_token ?? '' }
}

it('takes tokens of a new portal, and shows of them that they are there', async () => {
  const bench = await open()
  const { memberId, domain } = bench.sandbox.identity()
  const pair = await pairOf(bench)
  const answer = await put(bench, memberId, { ...pair, expires_in: 3600, client_id: CLIENT_ID, domain })
  expect([answer.status, answer.json]).toMatchObject([
    200,
    { status: 'ok', member_id: memberId, check: { missing: [] } },
  ])
  expect(await storedTokens(bench)).toMatchObject({
    accessToken: pair.access_token,
    refreshToken: pair.refresh_token,
    expiresAt: expect.any(Number),
  })
  const all = await ask(`${bench.server.url}/v1/portals`)
  expect(all.json).toMatchObject({ portals: [{ member_id: memberId, domain, state: 'active' }], next: null })
  for (const name of [memberId, domain, encodeURIComponent(bench.sandbox.url)]) {
    const one = await ask(`${bench.server.url}/v1/portals/${name}`)
    expect(one.json).toMatchObject({
      member_id: memberId,
      installations: [{ client_id: CLIENT_ID, scope: ['crm'], application_token: 'not set' }],
      tokens: [
        { client_id: CLIENT_ID, user_id: '1', access_token: 'set', refresh_token: 'set', state: 'active' },
      ],
    })
    expect(one.text).not.toContain(pair.access_token)
    expect(one.text).not.toContain(pair.refresh_token)
  }
})

it('takes an access token alone, and says that it cannot be renewed', async () => {
  const bench = await open()
  const { memberId, domain } = bench.sandbox.identity()
  const { access_token } = await pairOf(bench)
  const answer = await put(bench, memberId, { access_token, domain })
  expect(answer.json.check.missing).toEqual([
    'There is no refresh token: calls end with the access token, within an hour.',
  ])
  const one = await ask(`${bench.server.url}/v1/portals/${memberId}`)
  expect(one.json.tokens[0].refresh_token).toBe('not set')
})

it('renews at once where the access token is missing or has expired', async () => {
  const bench = await open()
  const { memberId, domain } = bench.sandbox.identity()
  const first = await pairOf(bench)
  expect((await put(bench, memberId, { refresh_token: first.refresh_token, domain })).status).toBe(200)
  const stored = await storedTokens(bench)
  expect(stored?.refreshToken).not.toBe(first.refresh_token)
  const second = await pairOf(bench)
  bench.sandbox.advance(3_600_001)
  expect((await put(bench, domain, second)).status).toBe(200)
  expect((await storedTokens(bench))?.accessToken).not.toBe(second.access_token)
  expect(bench.sandbox.oauthStats().refreshes).toEqual({ ok: 2 })
})

it('refuses tokens that are dead, of another portal, or of another application', async () => {
  const bench = await open({ sandbox: { host: '0.0.0.0' } })
  const { memberId, domain } = bench.sandbox.identity()
  const other = await pairOf(bench, '127.0.0.2')
  const cases: [unknown, number, string][] = [
    [{ access_token: 'dead', domain }, 403, 'TOKEN_REFUSED'],
    [{ refresh_token: 'dead', domain }, 403, 'TOKEN_REFUSED'],
    [{ access_token: other.access_token, domain }, 403, 'MEMBER_MISMATCH'],
    [{ ...(await pairOf(bench)), domain: 'other.example' }, 403, 'DOMAIN_MISMATCH'],
    [{ ...(await pairOf(bench)), domain, client_id: 'local.nobody' }, 403, 'APPLICATION_UNKNOWN'],
    [
      { ...(await pairOf(bench)), domain, server_endpoint: 'https://evil.example/' },
      403,
      'SERVER_NOT_ALLOWED',
    ],
    [await pairOf(bench), 404, 'PORTAL_UNKNOWN'],
    [{ ...(await pairOf(bench)), domain: 'a..b' }, 400, 'DOMAIN_INVALID'],
    [{ domain }, 400, 'TOKENS_INVALID'],
    [{ access_token: 5, domain }, 400, 'TOKENS_INVALID'],
    [{ access_token: 'a b', domain }, 400, 'TOKENS_INVALID'],
    [{ acess_token: 'a', domain }, 400, 'TOKENS_INVALID'],
    ['{', 400, 'TOKENS_INVALID'],
  ]
  for (const [body, status, code] of cases) {
    const answer = await put(bench, memberId, body)
    expect([body, answer.status, answer.json.error]).toEqual([body, status, code])
  }
  expect(await bench.rows()).toEqual({})
})

it('keeps what a used-up refresh token gave where it belongs, and says that it was the wrong portal', async () => {
  const bench = await open({ sandbox: { host: '0.0.0.0' } })
  const { memberId, domain } = bench.sandbox.identity()
  const { refresh_token } = await pairOf(bench, '127.0.0.2')
  expect((await put(bench, memberId, { refresh_token, domain })).json.error).toBe('MEMBER_MISMATCH')
  const other = bench.sandbox.identity('127.0.0.2')
  const all = await ask(`${bench.server.url}/v1/portals`)
  expect(all.json.portals).toMatchObject([{ member_id: other.memberId, domain: other.domain }])
})

it('forgets a portal with everything that belongs to it', async () => {
  const bench = await open()
  const { memberId, domain } = bench.sandbox.identity()
  await put(bench, memberId, { ...(await pairOf(bench)), domain })
  const url = `${bench.server.url}/v1/portals/${memberId}`
  expect((await ask(url, { method: 'DELETE' })).status).toBe(204)
  expect(await bench.rows()).toEqual({})
  const again = await ask(url, { method: 'DELETE' })
  expect([again.status, again.json.error]).toEqual([404, 'PORTAL_UNKNOWN'])
  expect((await ask(url)).status).toBe(404)
})

it('lists portals in pages', async () => {
  const bench = await open({ sandbox: { host: '0.0.0.0' } })
  for (const host of ['127.0.0.1', '127.0.0.2', '127.0.0.3']) {
    const { memberId, domain } = bench.sandbox.identity(host)
    await put(bench, memberId, { ...(await pairOf(bench, host)), domain })
  }
  const seen: string[] = []
  let after = ''
  for (;;) {
    const page = await ask(`${bench.server.url}/v1/portals?limit=2&after=${after}`)
    seen.push(...page.json.portals.map((one: { member_id: string }) => one.member_id))
    if (page.json.next === null) break
    after = page.json.next
  }
  expect(seen).toHaveLength(3)
  expect(seen).toEqual([...seen].sort())
})

it('needs the operator for all of it', async () => {
  const bench = await open()
  const requests: [string, string][] = [
    ['GET', '/v1/portals'],
    ['GET', '/v1/portals/x'],
    ['DELETE', '/v1/portals/x'],
    ['PUT', '/v1/portals/x/tokens'],
  ]
  for (const [method, path] of requests) {
    const without = await ask(`${bench.server.url}${path}`, { method, headers: { authorization: '' } })
    expect([path, without.status, without.json.error]).toEqual([path, 401, 'TOKEN_MISSING'])
    const wrong = await ask(`${bench.server.url}${path}`, { method, headers: { authorization: 'Bearer x' } })
    expect([path, wrong.json.error]).toEqual([path, 'TOKEN_WRONG'])
  }
})

it('repeats no token in an answer or a log line', async () => {
  const bench = await open()
  const { memberId, domain } = bench.sandbox.identity()
  const pair = await pairOf(bench)
  await put(bench, memberId, { ...pair, domain })
  await put(bench, memberId, { ...pair, domain: 'other.example' })
  await put(bench, memberId, JSON.stringify({ ...pair, domain }).slice(0, -1))
  const written = JSON.stringify([bench.answers, bench.logged, bench.server.logged])
  for (const secret of Object.values(pair)) expect(written).not.toContain(secret)
})

it('names every refusal on the page, beside its status', () => {
  const page = readFileSync(new URL('../../docs/connecting.md', import.meta.url), 'utf8')
  for (const [code, { status }] of Object.entries(INSTALL_REFUSALS)) {
    const row = page.split('\n').find((line) => line.startsWith(`| ${status} |`))
    expect(row, `status ${status}`).toContain(`\`${code}\``)
  }
})
