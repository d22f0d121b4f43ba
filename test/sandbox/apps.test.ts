import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import type { Sandbox, SandboxOptions } from '../../src/sandbox/index.ts'
import { open, send } from './ask.ts'
import { CLIENT_ID, CLIENT_SECRET, callWith, newPair, refresh } from './oauth-client.ts'
import { openReceiver, type Receiver } from './receiver.ts'

const HEX_32 = /^[0-9a-f]{32}$/

interface Bench {
  readonly sandbox: Sandbox
  readonly app: Receiver
}

/** A sandbox with an application that has an installer page, one page and, when asked, an address for events. */
async function openBench(more: { readonly ui: boolean; readonly options?: SandboxOptions }): Promise<Bench> {
  const app = await openReceiver()
  const pages = { url: `${app.url}app`, installUrl: `${app.url}install?from=card` }
  const sandbox = await open({
    applications: [
      {
        clientId: CLIENT_ID,
        clientSecret: CLIENT_SECRET,
        title: 'Chairs & <Tables>',
        scopes: ['crm', 'task'],
        ...(more.ui ? pages : { eventUrl: `${app.url}events` }),
      },
    ],
    now: () => Date.UTC(2026, 5, 1, 12),
    ...more.options,
  })
  return { sandbox, app }
}

/** What a browser would post into the frame of a page of the portal. */
function formOf(html: string): { action: string; target: string; fields: Record<string, string> } {
  const plain = (text = '') =>
    text.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)))
  const [, action, target] =
    /<form id="open" method="post" action="([^"]*)" target="([^"]*)"/.exec(html) ?? []
  const fields = [...html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)]
  return {
    action: plain(action),
    target: plain(target),
    fields: Object.fromEntries(fields.map(([, name, value]) => [plain(name), plain(value)])),
  }
}

function askPage(sandbox: Sandbox, sid: string, command: string) {
  return send(`${sandbox.url}/apps/session`, { body: JSON.stringify({ sid, do: command }) })
}

const bind = (sandbox: Sandbox, token: string, event: string, handler: string) =>
  callWith(sandbox, token, 'event.bind', { event, handler })

// https://apidocs.bitrix24.com/settings/app-installation/installation-finish.html
describe('installing an application with pages', () => {
  it('opens its installer in a frame with exactly the documented fields', async () => {
    const { sandbox } = await openBench({ ui: true })
    const { status, text } = await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    expect(status).toBe(200)
    expect(text).toContain('<h1>Chairs &#38; &#60;Tables&#62;</h1>')
    const { action, target, fields } = formOf(text)
    const url = new URL(action)
    const sid = url.searchParams.get('APP_SID') ?? ''
    const domain = sandbox.url.slice(7)
    expect(url.pathname).toBe('/install')
    expect(Object.fromEntries(url.searchParams)).toEqual({
      from: 'card',
      DOMAIN: domain,
      PROTOCOL: '0',
      LANG: 'en',
      APP_SID: expect.stringMatching(HEX_32),
    })
    expect(target).toBe(`${domain}|0|${sid}`)
    expect(text).toContain(`<iframe name="${target}"`)
    expect(fields).toEqual({
      AUTH_ID: expect.stringMatching(/^[0-9a-f]{70}$/),
      AUTH_EXPIRES: '3600',
      REFRESH_ID: expect.stringMatching(/^[0-9a-f]{70}$/),
      SERVER_ENDPOINT: `${sandbox.url}/rest/`,
      APPLICATION_TOKEN: expect.stringMatching(HEX_32),
      APPLICATION_SCOPE: 'crm,task',
      member_id: sandbox.identity().memberId,
      status: 'L',
      PLACEMENT: 'DEFAULT',
      PLACEMENT_OPTIONS: '[]',
    })
  })

  it('is finished by the page only, which then gets ONAPPINSTALL at the handlers it bound', async () => {
    const { sandbox, app } = await openBench({ ui: true })
    const { text } = await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    const { action, fields } = formOf(text)
    const token = fields.AUTH_ID ?? ''
    const sid = new URL(action).searchParams.get('APP_SID') ?? ''
    expect((await callWith(sandbox, token, 'app.info')).body.result.INSTALLED).toBe(false)
    expect((await bind(sandbox, token, 'ONAPPINSTALL', `${app.url}bound`)).body.result).toBe(true)
    const data = (await askPage(sandbox, sid, 'getInitData')).body
    expect(data).toMatchObject({ AUTH_ID: token, INSTALL: true, IS_ADMIN: true, PLACEMENT: 'DEFAULT' })
    expect(app.received).toHaveLength(0)
    expect((await askPage(sandbox, sid, 'setInstallFinish')).body).toBe(true)
    expect((await askPage(sandbox, sid, 'setInstallFinish')).body).toBe(true)
    expect((await callWith(sandbox, token, 'app.info')).body.result.INSTALLED).toBe(true)
    await expect.poll(() => app.received.map(({ form }) => form.event)).toEqual(['ONAPPINSTALL'])
    const page = formOf((await send(`${sandbox.url}/apps/open?client_id=${CLIENT_ID}`)).text)
    expect(new URL(page.action).pathname).toBe('/app')
    expect(page.fields.APPLICATION_TOKEN).toBe(fields.APPLICATION_TOKEN)
  })

  it('shows the installer again until it is finished', async () => {
    const { sandbox } = await openBench({ ui: true })
    expect((await sandbox.app({ do: 'install', clientId: CLIENT_ID })).installed).toBe(false)
    const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID })
    expect(new URL(form?.action ?? '').pathname).toBe('/install')
    expect((await sandbox.app({ do: 'finish', clientId: CLIENT_ID })).installed).toBe(true)
    const after = await sandbox.app({ do: 'open', clientId: CLIENT_ID })
    expect(new URL(after.form?.action ?? '').pathname).toBe('/app')
  })

  it('again gives another application token and ends the tokens there were', async () => {
    const { sandbox } = await openBench({ ui: true })
    const first = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const second = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    expect(second.applicationToken).not.toBe(first.applicationToken)
    const old = first.form?.fields.AUTH_ID ?? ''
    expect((await callWith(sandbox, old)).body.error).toBe('invalid_token')
  })

  it('shows its pages at the one address of the portal, also to who came by localhost', async () => {
    const { sandbox } = await openBench({ ui: true })
    const path = `/apps/install?client_id=${CLIENT_ID}`
    const { status, headers } = await send(`${sandbox.url}${path}`, { headers: { host: 'localhost:1' } })
    expect([status, headers.location]).toEqual([302, `${sandbox.url}${path}`])
  })

  it('is not known to a portal where it did not happen', async () => {
    const { sandbox } = await openBench({ ui: true, options: { host: '0.0.0.0' } })
    await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const other = sandbox.url.replace('127.0.0.1', '127.0.0.2')
    expect((await send(`${other}/apps/open?client_id=${CLIENT_ID}`)).status).toBe(404)
    expect((await send(`${sandbox.url}/apps/open?client_id=nobody`)).status).toBe(404)
  })
})

// https://apidocs.bitrix24.com/api-reference/widgets/index.html
describe('an application page', () => {
  it('is told its placement and whoever looks at it', async () => {
    const { sandbox, app } = await openBench({ ui: true })
    await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    await sandbox.app({ do: 'finish', clientId: CLIENT_ID })
    const place = { placement: 'CRM_DEAL_DETAIL_TAB', options: { ID: '5' } }
    const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID, userId: 2, ...place })
    expect(form?.fields).toMatchObject({ PLACEMENT: 'CRM_DEAL_DETAIL_TAB', PLACEMENT_OPTIONS: '{"ID":"5"}' })
    expect((await callWith(sandbox, form?.fields.AUTH_ID ?? '')).body.result.ID).toBe('2')
    const query = `client_id=${CLIENT_ID}&placement=X&options=undefined`
    const page = formOf((await send(`${sandbox.url}/apps/open?${query}`)).text)
    expect(page.fields).toMatchObject({ PLACEMENT: 'X', PLACEMENT_OPTIONS: 'undefined' })
    await send(page.action, {
      body: new URLSearchParams(page.fields).toString(),
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(app.received[0]?.form.member_id).toBe(sandbox.identity().memberId)
  })

  it('has three fields less on an older portal', async () => {
    const { sandbox } = await openBench({ ui: true, options: { switches: { newFrameFields: false } } })
    const { form } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    expect(Object.keys(form?.fields ?? {})).toEqual([
      'AUTH_ID',
      'AUTH_EXPIRES',
      'REFRESH_ID',
      'member_id',
      'status',
      'PLACEMENT',
      'PLACEMENT_OPTIONS',
    ])
  })

  it('gets fresh tokens of a chain of its own', async () => {
    const { sandbox } = await openBench({ ui: true })
    const { form } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const sid = new URL(form?.action ?? '').searchParams.get('APP_SID') ?? ''
    sandbox.advance(3_600_000)
    const { body } = await askPage(sandbox, sid, 'refreshAuth')
    expect((await callWith(sandbox, body.AUTH_ID)).status).toBe(200)
    expect((await refresh(sandbox, form?.fields.REFRESH_ID ?? '')).status).toBe(200)
    expect((await askPage(sandbox, 'x', 'refreshAuth')).status).toBe(404)
    expect((await send(`${sandbox.url}/apps/session`, { body: '{' })).status).toBe(400)
  })

  it('finds the stand-in for BX24, and both scripts can be run', async () => {
    const { sandbox } = await openBench({ ui: true })
    const { status, headers, text } = await send(`${sandbox.url}/__sandbox/bx24.js`)
    expect([status, headers['content-type']]).toEqual([200, 'text/javascript; charset=utf-8'])
    const posted: string[] = []
    const window = {
      name: 'p.example|1|the-sid',
      addEventListener: () => undefined,
      parent: { postMessage: (message: string, origin: string) => posted.push(`${origin} ${message}`) },
    }
    const context = { window, location: { search: '' }, URLSearchParams, Map, Promise, setTimeout }
    runInNewContext(`${text}; window.BX24.init(() => {})`, context)
    expect(posted).toEqual(['https://p.example getInitData:bx24_1:the-sid'])
    const page = await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    const script = /<script>(.*)<\/script>/s.exec(page.text)?.[1] ?? ''
    expect(() => new Function(script)).not.toThrow()
    expect(script).toContain('form.submit()')
  })
})

// https://apidocs.bitrix24.com/api-reference/common/events/on-app-install.html
describe('installing an application without pages', () => {
  it('posts ONAPPINSTALL with tokens that work, as a form of PHP', async () => {
    const { sandbox, app } = await openBench({ ui: false })
    const { status, text } = await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    expect(status).toBe(200)
    expect(text).not.toContain('<iframe')
    await expect.poll(() => app.received.length).toBe(1)
    const [{ method, url, contentType, text: body, form }] = app.received as [Receiver['received'][0]]
    expect([method, url.pathname, contentType]).toEqual([
      'POST',
      '/events',
      'application/x-www-form-urlencoded',
    ])
    expect(body).toContain('data%5BVERSION%5D=1&')
    const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
    expect(form).toEqual({
      event: 'ONAPPINSTALL',
      event_handler_id: '1',
      data: { VERSION: '1', ACTIVE: 'Y', INSTALLED: 'Y', LANGUAGE_ID: 'en' },
      ts: '1780315200',
      auth: {
        access_token: expect.stringMatching(/^[0-9a-f]{70}$/),
        expires: '1780318800',
        expires_in: '3600',
        scope: 'crm,task',
        domain,
        server_endpoint: serverEndpoint,
        status: 'L',
        client_endpoint: clientEndpoint,
        member_id: memberId,
        user_id: '1',
        refresh_token: expect.stringMatching(/^[0-9a-f]{70}$/),
        application_token: expect.stringMatching(HEX_32),
      },
    })
    const info = await callWith(sandbox, form.auth.access_token, 'app.info')
    expect(info.body.result.INSTALLED).toBe(true)
    expect((await refresh(sandbox, form.auth.refresh_token)).status).toBe(200)
  })

  it.each([
    [500, { delivered: 0, refused: 1, lost: 0 }],
    [302, { delivered: 0, refused: 1, lost: 0 }],
    [0, { delivered: 0, refused: 0, lost: 1 }],
  ])('posts once and never again when the answer is %i', async (status, counts) => {
    const { sandbox, app } = await openBench({ ui: false })
    app.status = status
    const { installed, deliveries } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    expect(installed).toBe(true)
    expect(deliveries).toMatchObject([{ event: 'ONAPPINSTALL', url: `${app.url}events` }])
    expect(app.received).toHaveLength(1)
    expect(sandbox.stats().events).toEqual({ ONAPPINSTALL: counts })
  })

  it('may tell of it late, or never, and is usable all the same', async () => {
    const { sandbox, app } = await openBench({ ui: false, options: { switches: { eventDelayMs: 60_000 } } })
    await send(`${sandbox.url}/apps/install?client_id=${CLIENT_ID}`)
    expect((await callWith(sandbox, (await newPair(sandbox)).access)).status).toBe(200)
    await sandbox.close()
    expect(app.received).toHaveLength(0)
  })
})

// https://apidocs.bitrix24.com/api-reference/common/events/on-app-uninstall.html
describe('the end of an application', () => {
  it.each([
    [true, '1'],
    [false, '0'],
  ])('with clean %s tells bound handlers by application token alone', async (clean, CLEAN) => {
    const { sandbox, app } = await openBench({ ui: false })
    const { applicationToken } = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const { access } = await newPair(sandbox)
    await bind(sandbox, access, 'OnAppUninstall', `${app.url}bye`)
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID, clean })
    const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
    expect(app.received.at(-1)?.form).toMatchObject({
      event: 'ONAPPUNINSTALL',
      data: { LANGUAGE_ID: 'en', CLEAN },
    })
    expect(app.received.at(-1)?.form.auth).toEqual({
      domain,
      server_endpoint: serverEndpoint,
      client_endpoint: clientEndpoint,
      member_id: memberId,
      application_token: applicationToken,
    })
    expect((await callWith(sandbox, access)).status).toBe(401)
  })

  it('is told to nobody who did not ask for it', async () => {
    const { sandbox } = await openBench({ ui: false })
    await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    expect((await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })).deliveries).toEqual([])
  })
})

// https://apidocs.bitrix24.com/api-reference/common/events/on-app-update.html
describe('a new version of an application', () => {
  it('is told with tokens, drops the handlers, and may bring another application token', async () => {
    const { sandbox, app } = await openBench({ ui: false })
    const before = await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const { access } = await newPair(sandbox)
    await bind(sandbox, access, 'ONCRMDEALADD', `${app.url}deals`)
    const after = await sandbox.app({ do: 'update', clientId: CLIENT_ID, newApplicationToken: true })
    const { form } = app.received.at(-1)!
    expect(form.data).toEqual({ VERSION: '2', PREVIOUS_VERSION: '1', LANGUAGE_ID: 'en' })
    expect(form.auth.application_token).toBe(after.applicationToken)
    expect(after.applicationToken).not.toBe(before.applicationToken)
    expect((await refresh(sandbox, form.auth.refresh_token)).status).toBe(200)
    expect((await callWith(sandbox, access, 'event.get')).body.result).toEqual([])
    expect((await callWith(sandbox, access, 'app.info')).body.result.VERSION).toBe(2)
  })
})

// https://apidocs.bitrix24.com/api-reference/events/event-bind.html
describe('event handlers', () => {
  it('belong to one application on one portal', async () => {
    const { sandbox } = await openBench({ ui: false })
    await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const { access } = await newPair(sandbox)
    await bind(sandbox, access, 'ONCRMDEALADD', 'https://x.example/')
    expect((await callWith(sandbox, access, 'event.get')).body.result).toEqual([
      { event: 'ONCRMDEALADD', handler: 'https://x.example/', auth_type: '0', offline: 0 },
    ])
    expect((await callWith(sandbox, sandbox.accessToken, 'event.get')).body.result).toEqual([])
  })

  it.each([
    [{ event: '', handler: 'https://x.example/' }, 400, 'ERROR_ARGUMENT'],
    [{ event: 'ONTASKADD', handler: 'ftp://x.example/' }, 400, 'ERROR_UNSUPPORTED_PROTOCOL'],
    [{ event: 'ONTASKADD', handler: 'http://localhost/x' }, 400, 'ERROR_WRONG_HANDLER_URL'],
    [{ event: 'ONTASKADD', handler: `https://x.example/${'y'.repeat(255)}` }, 400, 'ERROR_WRONG_HANDLER_URL'],
    [{ event: 'ONTASKADD', handler: 'https://x.example/', event_type: 'x' }, 400, 'ERROR_ARGUMENT'],
  ])('cannot be bound by %j', async (params, status, error) => {
    const { sandbox } = await openBench({ ui: false })
    const { body, status: got } = await callWith(sandbox, sandbox.accessToken, 'event.bind', params)
    expect([got, body.error]).toEqual([status, error])
  })

  it('are a matter of rights', async () => {
    const { sandbox } = await openBench({ ui: false })
    await sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
    const [admin, user] = [(await newPair(sandbox)).access, token?.access_token ?? '']
    const task = { event: 'ONTASKADD', handler: 'https://x.example/' }
    const denied = [
      await callWith(sandbox, user, 'event.bind', { ...task, auth_type: 1 }),
      await callWith(sandbox, user, 'event.bind', { event: 'ONTASKADD', event_type: 'offline' }),
    ]
    expect(denied.map(({ status, body }) => [status, body.error])).toEqual([
      [403, 'ACCESS_DENIED'],
      [403, 'ACCESS_DENIED'],
    ])
    for (const caller of [user, admin]) await callWith(sandbox, caller, 'event.bind', task)
    await callWith(sandbox, admin, 'event.bind', { event: 'ONTASKADD', event_type: 'offline' })
    expect((await callWith(sandbox, user, 'event.get')).body.result).toMatchObject([{ auth_type: '2' }])
    expect((await callWith(sandbox, admin, 'event.get')).body.result).toHaveLength(3)
    expect((await callWith(sandbox, admin, 'event.unbind', task)).body.result).toEqual({ count: 2 })
    expect((await callWith(sandbox, admin, 'event.get')).body.result).toEqual([
      { event: 'ONTASKADD', connector_id: '', offline: 1 },
    ])
  })
})
