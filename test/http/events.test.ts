import { expect, it } from 'vitest'
import { saveTokens } from '../../src/stores/queries/tokens.ts'
import { saveWebhook } from '../../src/stores/queries/webhooks.ts'
import { send } from '../sandbox/ask.ts'
import { CLIENT_ID, type Connecting, connecting, eventForm, storedTokens } from './connecting.ts'

const ALL = { portals: 1, installations: 1, tokens: 1, application_tokens: 1 }

/** An application without pages: the portal tells of its life by events. */
const open = (options: Parameters<typeof connecting>[0] = {}): Promise<Connecting> =>
  connecting({
    application: (bridge) => ({ eventUrl: `${bridge}/b24/app-events`, scopes: ['crm'], version: 2 }),
    ...options,
  })

/** Installs, and binds the handler for the end; gives the application token. */
async function install(bench: Connecting): Promise<string> {
  const { sandbox, server } = bench
  const { deliveries, applicationToken } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect(deliveries).toMatchObject([{ event: 'ONAPPINSTALL', status: 200 }])
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID })
  const params = {
    event: 'ONAPPUNINSTALL',
    handler: `${server.url}/b24/app-events`,
    auth: token?.access_token,
  }
  const bound = await send(`${sandbox.url}/rest/event.bind`, {
    body: JSON.stringify(params),
    headers: { 'content-type': 'application/json' },
  })
  expect(bound.body.result).toBe(true)
  return applicationToken
}

/** The `auth` block of a verified installation. */
async function authOf({ sandbox }: Connecting, userId = 1): Promise<Record<string, string>> {
  const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId })
  const { domain } = sandbox.identity()
  const { access_token, refresh_token, server_endpoint, client_endpoint, member_id } = token!
  return { access_token, refresh_token, server_endpoint, client_endpoint, member_id, domain }
}

it('keeps what ONAPPINSTALL brings', async () => {
  const bench = await open()
  await install(bench)
  expect(await bench.rows()).toEqual(ALL)
  expect(await storedTokens(bench)).toMatchObject({ state: 'active', hasRefreshToken: true })
  const { memberId } = bench.sandbox.identity()
  const [installation] = (await bench.installs.show(memberId)).installations
  expect(installation).toMatchObject({ version: '2', userId: '1', hasApplicationToken: true })
})

it('takes ONAPPINSTALL at the address of the installer page too', async () => {
  const bench = await open({ application: (bridge) => ({ installUrl: `${bridge}/install`, hasUi: false }) })
  const { deliveries } = await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect(deliveries).toMatchObject([{ event: 'ONAPPINSTALL', status: 200 }])
  expect(await bench.rows()).toEqual(ALL)
})

it('learns the new version and the new application token from ONAPPUPDATE; the old one proves nothing', async () => {
  const bench = await open()
  const old = await install(bench)
  const { deliveries } = await bench.sandbox.app({
    do: 'update',
    clientId: CLIENT_ID,
    version: 5,
    newApplicationToken: true,
  })
  expect(deliveries).toMatchObject([{ event: 'ONAPPUPDATE', status: 200 }])
  expect(await bench.rows()).toEqual(ALL)
  const { memberId } = bench.sandbox.identity()
  expect((await bench.installs.show(memberId)).installations[0]?.version).toBe('5')
  const auth = { member_id: memberId, application_token: old }
  const late = await bench.submit('/b24/app-events', eventForm('ONAPPUNINSTALL', auth, { CLEAN: '1' }))
  expect([late.status, late.json.error]).toEqual([403, 'APPLICATION_TOKEN_WRONG'])
})

it('forgets everything when the application is removed with CLEAN', async () => {
  const bench = await open()
  await install(bench)
  const gone = await bench.sandbox.app({ do: 'uninstall', clientId: CLIENT_ID, clean: true })
  expect(gone.deliveries).toMatchObject([{ event: 'ONAPPUNINSTALL', status: 200 }])
  expect(await bench.rows()).toEqual({})
  expect(bench.changed).toHaveLength(2)
})

it('keeps a portal that is reached by a webhook too, whatever is removed', async () => {
  const bench = await open()
  await install(bench)
  const { memberId } = bench.sandbox.identity()
  const webhook = { url: bench.sandbox.webhookUrl, name: 'main', memberId }
  await saveWebhook(bench.store.db, bench.secrets, webhook, Date.now())
  await bench.sandbox.app({ do: 'uninstall', clientId: CLIENT_ID, clean: true })
  expect(await bench.rows()).toEqual({ portals: 1 })
  expect((await bench.installs.show(memberId)).portal.state).toBe('active')
})

it('ends the tokens and suspends the portal with the reason when it is removed without CLEAN', async () => {
  const bench = await open()
  const token = await install(bench)
  await bench.sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
  const { memberId } = bench.sandbox.identity()
  const { portal } = await bench.installs.show(memberId)
  expect([portal.state, portal.reason]).toEqual([
    'suspended',
    'The application was uninstalled on the portal; install it again.',
  ])
  expect((await storedTokens(bench))?.state).toBe('dead')
  const again = eventForm('ONAPPUNINSTALL', { member_id: memberId, application_token: token })
  expect((await bench.submit('/b24/app-events', again)).status).toBe(403)

  await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect((await bench.installs.show(memberId)).portal.state).toBe('active')
  expect((await storedTokens(bench))?.state).toBe('active')
})

it('suspends no portal on which another application lives', async () => {
  const bench = await open()
  await install(bench)
  const { memberId } = bench.sandbox.identity()
  const key = { memberId, clientId: 'local.other', userId: '1' }
  await saveTokens(bench.store.db, bench.secrets, key, { accessToken: 'a' }, Date.now())
  await bench.sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
  expect((await bench.installs.show(memberId)).portal.state).toBe('active')
})

it('writes nothing for a forged event, and logs why', async () => {
  const bench = await open()
  await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  const { memberId } = bench.sandbox.identity()
  await bench.installs.remove(memberId)
  const auth = await authOf(bench)
  const forgeries: [string, Record<string, string>, number, string][] = [
    ['an unknown portal', { ...auth, member_id: 'f'.repeat(32) }, 403, 'MEMBER_MISMATCH'],
    ['another server', { ...auth, server_endpoint: 'https://evil.example/rest/' }, 403, 'SERVER_NOT_ALLOWED'],
    ['another domain', { ...auth, domain: 'evil.example' }, 403, 'DOMAIN_MISMATCH'],
    ['a made-up token', { ...auth, access_token: 'x' }, 403, 'TOKEN_REFUSED'],
    ['a user who may not', await authOf(bench, 3), 403, 'NOT_ADMIN'],
    ['no token', { member_id: memberId, domain: auth.domain ?? '' }, 400, 'FORM_INVALID'],
  ]
  for (const [what, forged, status, code] of forgeries) {
    for (const event of ['ONAPPINSTALL', 'ONAPPUPDATE']) {
      const answer = await bench.submit('/b24/app-events', eventForm(event, forged))
      expect([what, answer.status, answer.json.error]).toEqual([what, status, code])
    }
  }
  const nobody = eventForm('ONAPPUNINSTALL', { member_id: memberId, application_token: 'guess' })
  expect((await bench.submit('/b24/app-events', nobody)).json.error).toBe('APPLICATION_TOKEN_WRONG')
  expect(await bench.rows()).toEqual({})
  expect(new Set(bench.refusals())).toEqual(
    new Set([...forgeries.map(([, , , code]) => code), 'APPLICATION_TOKEN_WRONG']),
  )
})

it('never sends a token to an address that an event names', async () => {
  const bench = await open()
  await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  const auth = { ...(await authOf(bench)), client_endpoint: 'http://127.0.0.1:1/rest/' }
  expect((await bench.submit('/b24/app-events', eventForm('ONAPPINSTALL', auth))).status).toBe(200)
  const { memberId } = bench.sandbox.identity()
  expect((await bench.installs.show(memberId)).portal.clientEndpoint).toBe(`${bench.sandbox.url}/rest/`)
})

it('takes no other events, whatever token they bring', async () => {
  const bench = await open()
  const applicationToken = await install(bench)
  const { memberId } = bench.sandbox.identity()
  const before = await bench.rows()
  for (const event of ['ONCRMDEALADD', 'ONAPPPAYMENT', 'x'.repeat(100)]) {
    const form = eventForm(event, { member_id: memberId, application_token: applicationToken })
    const answer = await bench.submit('/b24/app-events', form)
    expect([answer.status, answer.json.error]).toEqual([404, 'EVENT_UNKNOWN'])
  }
  expect((await bench.submit('/b24/app-events', {})).json.error).toBe('FORM_INVALID')
  expect(await bench.rows()).toEqual(before)
})

it('reports what an installation lacks', async () => {
  const bench = await open()
  await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  await expect.poll(() => bench.logged.at(-1)?.event).toBe('install.checked')
  bench.logged.length = 0
  await bench.sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: false })
  const { refresh_token: _, ...auth } = await authOf(bench)
  const unpaid = await bench.submit('/b24/app-events', eventForm('ONAPPINSTALL', auth))
  expect([unpaid.status, unpaid.json.error]).toEqual([402, 'PAYMENT_REQUIRED'])
  await bench.sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: true })
  bench.sandbox.advance(300_000)
  await bench.submit('/b24/app-events', eventForm('ONAPPINSTALL', auth))
  const checked = () => bench.logged.find(({ event }) => event === 'install.checked')
  await expect.poll(checked).toBeDefined()
  expect(checked()?.fields.missing).toEqual([
    'There is no refresh token: calls end with the access token, within an hour.',
    expect.stringMatching(/^The clocks of the portal and of this machine differ by (?:299|300) s\.$/),
  ])
})

it('answers an event before the self-check is over', async () => {
  const bench = await open()
  bench.sandbox.fault([{ kind: 'slow', delayMs: 3000, times: 0, match: { method: 'batch' } }])
  await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect(bench.logged.map(({ event }) => event)).toEqual(['install.saved'])
  expect(await bench.rows()).toEqual(ALL)
  await expect.poll(() => bench.logged.at(-1)?.event, { timeout: 10_000 }).toBe('install.checked')
})
