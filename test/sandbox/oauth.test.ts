import { describe, expect, it } from 'vitest'
import { open, send } from './ask.ts'
import {
  APPLICATION,
  askCode,
  askToken,
  CLIENT_ID,
  CLIENT_SECRET,
  callWith,
  newPair,
  openWithApplication,
  refresh,
} from './oauth-client.ts'

const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS

// https://apidocs.bitrix24.com/settings/oauth/index.html
describe('/oauth/authorize/', () => {
  it('sends the browser back with a code and all that tells where it comes from', async () => {
    const sandbox = await openWithApplication()
    const url = `${sandbox.url}/oauth/authorize/?client_id=${CLIENT_ID}&state=a%26b&auto=1`
    const { status, headers } = await send(url)
    expect(status).toBe(302)
    const back = new URL(String(headers.location))
    expect(back.origin + back.pathname).toBe('https://app.example/callback')
    expect(Object.fromEntries(back.searchParams)).toEqual({
      keep: '1',
      code: expect.stringMatching(/^[0-9a-f]{32}$/),
      state: 'a&b',
      domain: sandbox.url.slice(7),
      member_id: sandbox.identity().memberId,
      scope: 'crm,department,lists,task,user',
      server_domain: sandbox.url.slice(7),
    })
  })

  it('asks who is there before, and takes yes or no', async () => {
    const sandbox = await openWithApplication()
    const url = `${sandbox.url}/oauth/authorize/`
    const page = await send(`${url}?client_id=${CLIENT_ID}&state=%22%3E%3Cb`)
    expect([page.status, page.headers['content-type']]).toEqual([200, 'text/html; charset=utf-8'])
    expect(page.text).toContain('name="state" value="&#34;&#62;&#60;b"')
    const answer = (text: string) =>
      send(url, { body: `client_id=${CLIENT_ID}&user=2&answer=${text}`, headers: FORM_TYPE })
    const yes = await answer('yes')
    expect(yes.status).toBe(302)
    const code = new URL(String(yes.headers.location)).searchParams.get('code') ?? ''
    const { body } = await askToken(sandbox, { grant_type: 'authorization_code', code })
    expect(body.user_id).toBe(2)
    const no = await answer('no')
    expect([no.status, no.headers.location]).toEqual([403, undefined])
  })

  it.each([
    ['an unknown client', 'client_id=nobody'],
    ['an application without an address to return to', 'client_id=local.sandbox'],
    ['an application that is not installed', 'client_id=elsewhere'],
    ['a user that is not there', `client_id=${CLIENT_ID}&user=999`],
  ])('shows %s a page and does not redirect', async (_, params) => {
    const elsewhere = { ...APPLICATION, clientId: 'elsewhere', installed: false }
    const sandbox = await openWithApplication({ applications: [APPLICATION, elsewhere] })
    const { status, headers } = await send(`${sandbox.url}/oauth/authorize/?${params}&auto=1&state=s`)
    expect([status, headers.location]).toEqual([400, undefined])
    expect(headers['content-type']).toMatch(/^text\/html/)
  })
})

// https://apidocs.bitrix24.com/settings/oauth/index.html
describe('a code', () => {
  it('becomes a pair of tokens with every field, by GET and by POST', async () => {
    const sandbox = await openWithApplication()
    const code = await askCode(sandbox)
    const { status, headers, body } = await askToken(sandbox, { grant_type: 'authorization_code', code })
    expect([status, headers['content-type']]).toEqual([200, 'application/json; charset=utf-8'])
    expect(body).toEqual({
      access_token: expect.stringMatching(/^[0-9a-f]{70}$/),
      expires: 1780315200 + 3600,
      expires_in: 3600,
      scope: 'crm,department,lists,task,user',
      domain: sandbox.url.slice(7),
      server_endpoint: `${sandbox.url}/rest/`,
      status: 'L',
      client_endpoint: `${sandbox.url}/rest/`,
      member_id: sandbox.identity().memberId,
      user_id: 1,
      refresh_token: expect.stringMatching(/^[0-9a-f]{70}$/),
    })
    const form = `grant_type=authorization_code&client_id=${CLIENT_ID}&client_secret=${CLIENT_SECRET}`
    const posted = await send(`${sandbox.url}/oauth/token/`, {
      body: `${form}&code=${await askCode(sandbox)}`,
      headers: FORM_TYPE,
    })
    expect([posted.status, posted.body.member_id]).toEqual([200, body.member_id])
    expect((await callWith(sandbox, posted.body.access_token)).body.result.ID).toBe('1')
  })

  it('is good once', async () => {
    const sandbox = await openWithApplication()
    const code = await askCode(sandbox)
    const exchange = () => askToken(sandbox, { grant_type: 'authorization_code', code })
    const statuses = await Promise.all([exchange(), exchange()])
    expect(statuses.map(({ status }) => status).toSorted()).toEqual([200, 400])
    expect((await exchange()).body.error).toBe('invalid_grant')
    expect(sandbox.oauthStats()).toMatchObject({ codesIssued: 1, exchanges: { ok: 1, invalid_grant: 2 } })
  })

  it('lives thirty seconds of the portal', async () => {
    const sandbox = await openWithApplication()
    const [inTime, late] = [await askCode(sandbox), await askCode(sandbox)]
    sandbox.advance(30_000)
    expect((await askToken(sandbox, { grant_type: 'authorization_code', code: inTime })).status).toBe(200)
    sandbox.advance(1)
    const { status, body } = await askToken(sandbox, { grant_type: 'authorization_code', code: late })
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
  })

  it('is no good to another application', async () => {
    const other = { clientId: 'other', clientSecret: 'x' }
    const sandbox = await openWithApplication({ applications: [APPLICATION, other] })
    const params = { grant_type: 'authorization_code', code: await askCode(sandbox) }
    const { body } = await askToken(sandbox, params, { client_id: 'other', client_secret: 'x' })
    expect(body.error).toBe('invalid_grant')
  })
})

// https://apidocs.bitrix24.com/settings/oauth/auto-renewal.html
describe('a refresh token', () => {
  it('gives a new pair and ends the old one at once', async () => {
    const sandbox = await openWithApplication()
    const old = await newPair(sandbox)
    const { status, body } = await refresh(sandbox, old.refresh)
    expect(status).toBe(200)
    expect(Object.keys(body)).toHaveLength(11)
    expect((await callWith(sandbox, body.access_token)).status).toBe(200)
    const refused = await callWith(sandbox, old.access)
    expect([refused.status, refused.body.error]).toEqual([401, 'expired_token'])
    const again = await refresh(sandbox, old.refresh)
    expect([again.status, again.body.error]).toEqual([400, 'invalid_grant'])
    expect((await refresh(sandbox, body.refresh_token)).status).toBe(200)
  })

  it('makes one winner of many at the same moment, and the statistics say so', async () => {
    const sandbox = await openWithApplication()
    const { refresh: token } = await newPair(sandbox)
    const replies = await Promise.all(Array.from({ length: 20 }, () => refresh(sandbox, token)))
    expect(replies.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(new Set(replies.map(({ body }) => body.error))).toEqual(new Set([undefined, 'invalid_grant']))
    expect(sandbox.stats().oauth).toEqual({
      codesIssued: 0,
      exchanges: {},
      refreshes: { ok: 1, invalid_grant: 19 },
      accessTokensAlive: 1,
      refreshTokensAlive: 1,
    })
  })

  it('leaves the other chains of the same user alone', async () => {
    const sandbox = await openWithApplication()
    const chains = [await newPair(sandbox), await newPair(sandbox), await newPair(sandbox)]
    await refresh(sandbox, chains[0]!.refresh)
    const statuses = await Promise.all(chains.map(({ access }) => callWith(sandbox, access)))
    expect(statuses.map(({ status }) => status)).toEqual([401, 200, 200])
    expect((await refresh(sandbox, chains[1]!.refresh)).status).toBe(200)
  })

  it('ends less where a switch says so', async () => {
    const kind = await openWithApplication({ switches: { afterRefresh: 'access-lives' } })
    const first = await newPair(kind)
    await refresh(kind, first.refresh)
    expect((await callWith(kind, first.access)).status).toBe(200)
    expect((await refresh(kind, first.refresh)).status).toBe(400)
    const kinder = await openWithApplication({ switches: { afterRefresh: 'pair-lives' } })
    const second = await newPair(kinder)
    await refresh(kinder, second.refresh)
    expect((await refresh(kinder, second.refresh)).status).toBe(200)
  })

  it.each([
    [180, {}],
    [28, { refreshDays: 28 }],
  ])('lives %i days', async (days, switches) => {
    const sandbox = await openWithApplication({ switches })
    const [inTime, late] = [await newPair(sandbox), await newPair(sandbox)]
    sandbox.advance(days * DAY_MS - 1)
    expect((await refresh(sandbox, inTime.refresh)).status).toBe(200)
    sandbox.advance(1)
    expect((await refresh(sandbox, late.refresh)).body.error).toBe('invalid_grant')
  })
})

// https://apidocs.bitrix24.com/settings/oauth/error-codes.html
describe('the token endpoint', () => {
  it.each([
    ['no grant type', {}, {}, 400, 'invalid_request', 'No "grant_type" parameter found'],
    ['another grant type', { grant_type: 'password' }, {}, 400, 'invalid_request', 'Unsupported grant type'],
    [
      'no token',
      { refresh_token: undefined },
      {},
      400,
      'invalid_request',
      'No "refresh_token" parameter found',
    ],
    ['no secret', {}, { client_secret: undefined }, 400, 'invalid_request', /client_secret/],
    ['an unknown client', {}, { client_id: 'x' }, 400, 'invalid_client', /client/],
    ['a wrong secret', {}, { client_secret: 'x' }, 200, 'wrong_client', /secret/],
    ['a strange token', { refresh_token: 'x' }, {}, 400, 'invalid_grant', /refresh token/],
    ['too much scope', { scope: 'crm,telephony' }, {}, 403, 'invalid_scope', /scope/],
  ])('refuses %s, and the refresh token stays good', async (what, params, client, status, error, text) => {
    const sandbox = await openWithApplication()
    const { refresh: token } = await newPair(sandbox)
    const grant = what === 'no grant type' ? {} : { grant_type: 'refresh_token' }
    const reply = await askToken(
      sandbox,
      { ...grant, refresh_token: token, ...params },
      { client_id: CLIENT_ID, client_secret: CLIENT_SECRET, ...client },
    )
    expect([reply.status, reply.body.error]).toEqual([status, error])
    expect(reply.body.error_description).toMatch(text)
    expect(Object.keys(reply.body)).toEqual(['error', 'error_description'])
    expect((await refresh(sandbox, token)).status).toBe(200)
  })

  it('says invalid_client to a wrong secret, and uses other statuses, where switches say so', async () => {
    const sandbox = await openWithApplication({
      switches: { wrongSecret: 'invalid_client', statuses: { invalid_client: 401 } },
    })
    const { refresh: token } = await newPair(sandbox)
    const wrong = { client_id: CLIENT_ID, client_secret: 'x' }
    const { status, body } = await askToken(
      sandbox,
      { grant_type: 'refresh_token', refresh_token: token },
      wrong,
    )
    expect([status, body.error]).toEqual([401, 'invalid_client'])
  })

  it('asks for payment without using up the refresh token', async () => {
    const sandbox = await openWithApplication()
    const pair = await newPair(sandbox)
    await sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: false })
    expect((await refresh(sandbox, pair.refresh)).body.error).toBe('PAYMENT_REQUIRED')
    const call = await callWith(sandbox, pair.access)
    expect([call.status, call.body.error]).toEqual([401, 'PAYMENT_REQUIRED'])
    await sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: true })
    expect((await refresh(sandbox, pair.refresh)).status).toBe(200)
  })

  it('reads forms, not JSON', async () => {
    const sandbox = await openWithApplication()
    const { refresh: token } = await newPair(sandbox)
    const body = JSON.stringify({ grant_type: 'refresh_token', refresh_token: token })
    const headers = { 'content-type': 'application/json' }
    const reply = await send(`${sandbox.oauthUrl}/oauth/token/`, { body, headers })
    expect([reply.status, reply.body.error]).toEqual([400, 'invalid_request'])
  })

  it('leaves out expires and user_id where a switch says so', async () => {
    const sandbox = await openWithApplication({ switches: { sparseTokens: true } })
    const { body } = await refresh(sandbox, (await newPair(sandbox)).refresh)
    expect(Object.keys(body)).not.toContain('expires')
    expect(Object.keys(body)).not.toContain('user_id')
  })

  it('breaks by a fault script, before or after it has renewed the pair', async () => {
    const sandbox = await openWithApplication()
    const { refresh: token } = await newPair(sandbox)
    const match = { method: 'oauth.token' }
    sandbox.fault([{ kind: 'status', status: 503, match }])
    expect((await refresh(sandbox, token)).status).toBe(503)
    sandbox.fault([{ kind: 'reset-after', match }])
    await expect(refresh(sandbox, token)).rejects.toThrow()
    expect((await refresh(sandbox, token)).body.error).toBe('invalid_grant')
    expect(sandbox.stats().oauth.refreshes).toEqual({ ok: 1, invalid_grant: 1 })
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/authorization.html
describe('an access token', () => {
  it('lives an hour of the portal and is then expired', async () => {
    const sandbox = await openWithApplication()
    const { access } = await newPair(sandbox)
    sandbox.advance(HOUR_MS - 1)
    expect((await callWith(sandbox, access)).status).toBe(200)
    sandbox.advance(1)
    const { status, body } = await callWith(sandbox, access)
    expect(status).toBe(401)
    expect(body).toEqual({
      error: 'expired_token',
      error_description: 'The access token provided has expired.',
    })
    expect(sandbox.stats().oauth.accessTokensAlive).toBe(0)
  })

  it('is no good after its application was uninstalled, and neither is the refresh token', async () => {
    const sandbox = await openWithApplication()
    const pair = await newPair(sandbox)
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
    const { status, body } = await callWith(sandbox, pair.access)
    expect([status, body.error]).toEqual([401, 'invalid_token'])
    expect((await refresh(sandbox, pair.refresh)).body.error).toBe('invalid_grant')
    expect(sandbox.stats().oauth).toMatchObject({ accessTokensAlive: 0, refreshTokensAlive: 0 })
    await expect(newPair(sandbox)).rejects.toThrow('not installed')
  })

  it('can be made to run out, and its application can be narrowed or blocked', async () => {
    const sandbox = await openWithApplication()
    const [one, two] = [await newPair(sandbox), await newPair(sandbox)]
    sandbox.change({ expired: [one.access], scopes: { [CLIENT_ID]: ['task'] } })
    expect((await callWith(sandbox, one.access)).body.error).toBe('expired_token')
    expect((await callWith(sandbox, two.access, 'crm.deal.list')).body.error).toBe('insufficient_scope')
    sandbox.change({ overloaded: [CLIENT_ID] })
    expect((await callWith(sandbox, two.access)).body.error).toBe('OVERLOAD_LIMIT')
  })

  it('acts as the user it was given to', async () => {
    const sandbox = await openWithApplication()
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 3 })
    const { body } = await callWith(sandbox, token?.access_token ?? '')
    expect(body.result).toMatchObject({ ID: '3', ADMIN: false })
  })
})

describe('two portals', () => {
  const SECOND = '127.0.0.2'

  it('share the authorization server and nothing else', async () => {
    const sandbox = await openWithApplication({ host: '0.0.0.0' })
    const [first, second] = [sandbox.identity(), sandbox.identity(SECOND)]
    expect([first.memberId, second.memberId].every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true)
    expect(first.memberId).not.toBe(second.memberId)
    const pair = await newPair(sandbox, SECOND)
    const { body } = await refresh(sandbox, pair.refresh)
    expect(body).toMatchObject({ member_id: second.memberId, client_endpoint: second.clientEndpoint })
    expect((await callWith(sandbox, body.access_token)).body.error).toBe('invalid_token')
    const own = await send(`${body.client_endpoint}profile?auth=${body.access_token}`)
    expect(own.status).toBe(200)
    expect(sandbox.stats(SECOND).oauth.refreshes).toEqual({ ok: 1 })
    expect(sandbox.stats().oauth.refreshes).toEqual({})
  })

  it('keep their member ids when they are renamed', async () => {
    const sandbox = await openWithApplication({ host: '0.0.0.0' })
    const before = sandbox.identity()
    const pair = await newPair(sandbox)
    sandbox.rename('127.0.0.9')
    const { body } = await refresh(sandbox, pair.refresh)
    expect(body.member_id).toBe(before.memberId)
    expect(body.client_endpoint).toBe(before.clientEndpoint.replace('127.0.0.1', '127.0.0.9'))
  })
})

// https://apidocs.bitrix24.com/settings/oauth/simple-way.html
describe('app.info', () => {
  it('of the authorization server knows the tokens of every portal', async () => {
    const sandbox = await openWithApplication({ host: '0.0.0.0', oauthPort: 0 })
    const { access } = await newPair(sandbox, '127.0.0.2')
    const { memberId, domain, serverEndpoint } = sandbox.identity('127.0.0.2')
    const { status, body } = await send(`${serverEndpoint}app.info?auth=${access}`)
    expect(status).toBe(200)
    expect(body.result).toMatchObject({
      STATUS: 'L',
      INSTALLED: true,
      client_id: CLIENT_ID,
      user_id: 1,
      install: { member_id: memberId, domain, status: 'L', scope: 'crm,department,lists,task,user' },
    })
    for (const token of ['x', '']) {
      const refused = await send(`${serverEndpoint}app.info?auth=${token}`)
      expect(refused.status).toBe(401)
    }
    expect(sandbox.stats().requests).toBe(0)
  })

  it('of a portal says less, and nothing of other portals', async () => {
    const sandbox = await openWithApplication({ host: '0.0.0.0', oauthPort: 0 })
    const own = await callWith(sandbox, (await newPair(sandbox)).access, 'app.info')
    expect(own.body.result).toMatchObject({ CODE: CLIENT_ID, STATUS: 'L', INSTALLED: true })
    expect(own.body.result.install).toBeUndefined()
    const foreign = await newPair(sandbox, '127.0.0.2')
    expect((await callWith(sandbox, foreign.access, 'app.info')).body.error).toBe('invalid_token')
  })

  it('answers for both where they share an address', async () => {
    const sandbox = await openWithApplication({ host: '0.0.0.0' })
    const own = await callWith(sandbox, (await newPair(sandbox)).access, 'app.info')
    expect(own.body.result.install.member_id).toBe(sandbox.identity().memberId)
    const foreign = await newPair(sandbox, '127.0.0.2')
    const { body } = await callWith(sandbox, foreign.access, 'app.info')
    expect(body.result.install.member_id).toBe(sandbox.identity('127.0.0.2').memberId)
  })
})

describe('an authorization server with a port of its own', () => {
  it('is the only one to give out tokens, and is named everywhere', async () => {
    const sandbox = await openWithApplication({ oauthPort: 0 })
    expect(sandbox.oauthUrl).not.toBe(sandbox.url)
    const { body } = await askToken(sandbox, {
      grant_type: 'authorization_code',
      code: await askCode(sandbox),
    })
    expect(body.domain).toBe(sandbox.oauthUrl.slice(7))
    expect(body.server_endpoint).toBe(`${sandbox.oauthUrl}/rest/`)
    expect(body.client_endpoint).toBe(`${sandbox.url}/rest/`)
    expect((await send(`${sandbox.url}/oauth/token/?grant_type=refresh_token`)).status).toBe(404)
    expect((await send(`${sandbox.oauthUrl}/rest/profile?auth=${body.access_token}`)).status).toBe(404)
  })

  it('rejects when its port is taken, and leaves nothing behind', async () => {
    const first = await open()
    const port = Number(new URL(first.url).port)
    await expect(open({ oauthPort: port })).rejects.toThrow('EADDRINUSE')
  })
})

describe('applications', () => {
  it('are registered and moved about over http too', async () => {
    const sandbox = await open()
    const post = (path: string, value: unknown) =>
      send(`${sandbox.url}/__sandbox/${path}`, { body: JSON.stringify(value) })
    const { body: application } = await post('applications', { redirectUri: 'https://app.example/' })
    expect(application).toMatchObject({ status: 'L', version: 1, installed: true, hasUi: false })
    expect(application.clientId).toMatch(/^local\.[0-9a-f]{14}\.\d{8}$/)
    const { body } = await post('apps', { do: 'token', clientId: application.clientId })
    expect((await callWith(sandbox, body.token.access_token)).status).toBe(200)
    expect((await post('apps', { do: 'token', clientId: 'x' })).body.error).toBe('NOT_POSSIBLE')
    expect((await post('apps', { do: 'dance', clientId: application.clientId })).status).toBe(400)
    expect((await send(`${sandbox.url}/__sandbox/oauth`)).body.accessTokensAlive).toBe(1)
    expect((await send(`${sandbox.url}/__sandbox/identity`)).body).toEqual(sandbox.identity())
  })
})
