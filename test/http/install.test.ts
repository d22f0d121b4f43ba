import { expect, it } from 'vitest'
import { StoreError } from '../../src/model/errors.ts'
import { savePortal } from '../../src/stores/queries/portals.ts'
import { visitorsOf } from '../../src/stores/queries/visitors.ts'
import { CLIENT_ID, type Connecting, connecting, storedTokens } from './connecting.ts'

const open = (options: Parameters<typeof connecting>[0] = {}): Promise<Connecting> =>
  connecting({
    application: (bridge) => ({
      installUrl: `${bridge}/install`,
      url: 'http://127.0.0.1:1/app',
      scopes: ['crm'],
    }),
    ...options,
  })

/** The form that the portal posts into the frame of the installer page. */
async function formOf(bench: Connecting, portal?: string) {
  const { form } = await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID }, portal)
  return form ?? { action: '', fields: {} }
}

it('keeps what the portal posts, and answers with a page that finishes the installation', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  const page = await bench.submit(action, fields, 'text/html')
  expect(page.status).toBe(200)
  expect(page.text).toContain('BX24.installFinish()')
  expect(page.text).toContain(`src="${bench.sandbox.url}/__sandbox/bx24.js"`)
  const policy = page.headers.get('content-security-policy') ?? ''
  expect(policy).toContain(`frame-ancestors 'self' ${bench.sandbox.url}`)
  expect(policy).toContain(`'nonce-${/nonce="([^"]+)"/.exec(page.text)?.[1]}'`)
  expect(policy).not.toContain('unsafe')
  expect(page.headers.get('x-frame-options')).toBeNull()
  expect(page.headers.get('referrer-policy')).toBe('no-referrer')
  expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1, application_tokens: 1 })
  expect(await storedTokens(bench)).toMatchObject({
    accessToken: fields.AUTH_ID,
    refreshToken: fields.REFRESH_ID,
    scope: ['crm'],
    state: 'active',
  })
  const checked = bench.logged.find(({ event }) => event === 'install.checked')
  expect(checked?.fields).toMatchObject({ scope: 'crm', isAdmin: true, missing: [] })
})

it('takes the form of older portals, which names no server and no application token', async () => {
  const bench = await open({ sandbox: { switches: { newFrameFields: false } } })
  const { action, fields } = await formOf(bench)
  expect(fields.SERVER_ENDPOINT).toBeUndefined()
  expect((await bench.submit(action, fields)).status).toBe(200)
  expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1 })
})

it('takes everything from the body, as the oldest portals have it', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  const all = { ...Object.fromEntries(new URL(action).searchParams), ...fields }
  expect((await bench.submit('/install', all)).status).toBe(200)
})

it('installs twice with the same outcome', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  await bench.submit(action, fields)
  await bench.submit(action, fields)
  expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1, application_tokens: 1 })
})

it('knows the request limit of an enterprise portal, and leaves one that was set', async () => {
  const bench = await open({ sandbox: { plan: 'enterprise' } })
  const { action, fields } = await formOf(bench)
  await bench.submit(action, fields)
  const { memberId } = bench.sandbox.identity()
  const { portal } = await bench.installs.show(memberId)
  expect(portal.limit).toBe('enterprise')
  await savePortal(bench.store.db, { ...portal, limit: '50/2' }, Date.now())
  await bench.submit(action, fields)
  expect((await bench.installs.show(memberId)).portal.limit).toBe('50/2')
})

it('writes nothing for a forged form, and logs why', async () => {
  const bench = await open({ sandbox: { host: '0.0.0.0' } })
  const { action, fields } = await formOf(bench)
  const other = await formOf(bench, '127.0.0.2')
  const elsewhere = action.replace(/DOMAIN=[^&]*/, 'DOMAIN=victim.bitrix24.com')
  const forgeries: [string, string, Record<string, string>, number, string][] = [
    [
      'a server of its own',
      action,
      { SERVER_ENDPOINT: 'https://oauth.evil.example/rest/' },
      403,
      'SERVER_NOT_ALLOWED',
    ],
    [
      'the right host before an @',
      action,
      { SERVER_ENDPOINT: 'https://oauth.bitrix.info@evil.example/rest/' },
      403,
      'SERVER_NOT_ALLOWED',
    ],
    [
      'the right host without TLS',
      action,
      { SERVER_ENDPOINT: 'http://oauth.bitrix.info/rest/' },
      403,
      'SERVER_NOT_ALLOWED',
    ],
    ['a made-up token', action, { AUTH_ID: 'f'.repeat(70) }, 403, 'TOKEN_REFUSED'],
    ['a token of another portal', action, { AUTH_ID: other.fields.AUTH_ID ?? '' }, 403, 'MEMBER_MISMATCH'],
    ['another member id', action, { member_id: '0'.repeat(32) }, 403, 'MEMBER_MISMATCH'],
    ['another domain', elsewhere, {}, 403, 'DOMAIN_MISMATCH'],
    ['no token', action, { AUTH_ID: '' }, 400, 'FORM_INVALID'],
    ['a member id that is none', action, { member_id: '../../etc' }, 400, 'FORM_INVALID'],
    ['a domain that is none', action.replace(/DOMAIN=[^&]*/, 'DOMAIN=a..b'), {}, 400, 'DOMAIN_INVALID'],
  ]
  for (const [what, url, changed, status, code] of forgeries) {
    const answer = await bench.submit(url, { ...fields, ...changed })
    expect([what, answer.status, answer.json.error]).toEqual([what, status, code])
  }
  expect(await bench.rows()).toEqual({})
  expect(bench.changed).toEqual([])
  expect(new Set(bench.refusals())).toEqual(new Set(forgeries.map(([, , , , code]) => code)))
})

it('lets nobody but an administrator install, whose form could name an application token of his own', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  const { token } = await bench.sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 3 })
  const forged = { ...fields, AUTH_ID: token?.access_token ?? '', APPLICATION_TOKEN: 'made-up' }
  expect((await bench.submit(action, forged)).json.error).toBe('NOT_ADMIN')
  expect(await bench.rows()).toEqual({})
  await bench.submit(action, fields)
  expect((await bench.submit(action, forged)).json.error).toBe('NOT_ADMIN')
  const { memberId } = bench.sandbox.identity()
  const event = { event: 'ONAPPUNINSTALL', 'auth[member_id]': memberId, 'auth[application_token]': 'made-up' }
  expect((await bench.submit('/b24/app-events', event)).json.error).toBe('APPLICATION_TOKEN_WRONG')
})

it('leaves the installation to who made it when another user of the portal opens the page', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  await bench.submit(action, fields)
  const { token } = await bench.sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 3 })
  const { access_token = '', refresh_token = '' } = token ?? {}
  const visited = await bench.submit(action, { ...fields, AUTH_ID: access_token, REFRESH_ID: refresh_token })
  expect(visited.status).toBe(200)
  const { memberId } = bench.sandbox.identity()
  const installations = await bench.store.db.selectFrom('installations').select('user_id').execute()
  expect(installations).toEqual([{ user_id: '1' }])
  const isVisitor = await visitorsOf(bench.store.db, memberId)
  const users = await bench.store.db.selectFrom('tokens').select('user_id').orderBy('user_id').execute()
  const told = users.map(({ user_id: userId }) => [
    userId,
    isVisitor({ memberId, clientId: CLIENT_ID, userId }),
  ])
  expect(told).toEqual([
    ['1', false],
    ['3', true],
  ])
})

it('refuses an application that is not ours, with a page that people can read in the frame', async () => {
  const bench = await open()
  await bench.store.db.deleteFrom('applications').execute()
  const { action, fields } = await formOf(bench)
  const page = await bench.submit(action, fields, 'text/html')
  expect(page.status).toBe(403)
  expect(page.text).toContain('The application is not one of those that this bridge knows.')
  expect(page.text).not.toContain('<script')
  expect(await bench.rows()).toEqual({})
})

it('tells an authorization server that is away from one that refuses', async () => {
  const bench = await open({ servers: ['http://127.0.0.1:1'] })
  const { action, fields } = await formOf(bench)
  const away = await bench.submit(action, { ...fields, SERVER_ENDPOINT: 'http://127.0.0.1:1/rest/' })
  expect([away.status, away.json.error]).toEqual([503, 'AUTH_SERVER_UNREACHABLE'])
  expect(await bench.rows()).toEqual({})
})

it('refuses a portal that stopped, and writes nothing', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  bench.sandbox.change({ stopped: true })
  const answer = await bench.submit(action, fields)
  expect([answer.status, answer.json.error]).toEqual([403, 'PORTAL_REFUSED'])
  expect(await bench.rows()).toEqual({})
})

it('bounds what it reads', async () => {
  const bench = await open()
  const large = await bench.submit('/install', { AUTH_ID: 'x'.repeat(70_000) })
  expect([large.status, large.json.error]).toEqual([413, 'FORM_TOO_LARGE'])
  const many = Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`k${n}`, '1']))
  const deep = { 'a[b][c][d][e][f][g][h]': '1' }
  const strange = { '__proto__[AUTH_ID]': 'x', 'constructor[prototype][AUTH_ID]': 'y' }
  for (const fields of [many, deep, strange, {}]) {
    const answer = await bench.submit('/install', fields as Record<string, string>)
    expect([answer.status, answer.json.error]).toEqual([400, 'FORM_INVALID'])
  }
  const json = await fetch(`${bench.server.url}/install`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: '{}',
  })
  expect(json.status).toBe(400)
})

it('logs a flood of refusals in one line, with their number', async () => {
  const bench = await open()
  for (let n = 0; n < 20; n++) await bench.submit('/install', {})
  bench.advance(11_000)
  await bench.submit('/install', {})
  expect(bench.logged.map(({ fields }) => [fields.count, fields.since_last_line])).toEqual([
    [1, 1],
    [21, 20],
  ])
})

it('says no secret in any answer, log line or error', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  await bench.submit(action, fields, 'text/html')
  await bench.submit(action, fields)
  await bench.submit(action, { ...fields, member_id: 'other' })
  await bench.submit(action, { ...fields, AUTH_ID: `${fields.AUTH_ID}x` })
  const written = JSON.stringify([bench.answers, bench.logged, bench.server.logged])
  for (const name of ['AUTH_ID', 'REFRESH_ID', 'APPLICATION_TOKEN'])
    expect(written).not.toContain(fields[name] ?? name)
})

it('checks a hundred at once and turns the others away before anybody is asked', async () => {
  const bench = await open()
  const { action, fields } = await formOf(bench)
  const posted = { query: new URL(action).search.slice(1), body: String(new URLSearchParams(fields)) }
  const all = await Promise.allSettled(Array.from({ length: 110 }, () => bench.installs.takePage(posted)))
  const refused = all.filter((one) => one.status === 'rejected')
  expect(refused.map(({ reason }) => reason.code)).toEqual(Array(10).fill('TOO_MANY_INSTALLS'))
  expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1, application_tokens: 1 })
})

it('answers 503 while the store is away, and takes the same form when it is back', async () => {
  let away = true
  const bench = await open({
    store: (store) => ({
      ...store,
      saveInstall: async (install, now) => {
        if (away) throw new StoreError('STORE_UNAVAILABLE', 'The store is away')
        return store.saveInstall(install, now)
      },
    }),
  })
  const { action, fields } = await formOf(bench)
  const answer = await bench.submit(action, fields, 'text/html')
  expect([answer.status, answer.json.error]).toEqual([503, 'STORE_UNAVAILABLE'])
  expect(bench.server.logged.map(({ event }) => event)).toEqual(['http.failed'])
  expect(await bench.rows()).toEqual({})
  away = false
  expect((await bench.submit(action, fields)).status).toBe(200)
})
