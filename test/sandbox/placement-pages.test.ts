import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { openApplication } from './application.ts'
import { send } from './ask.ts'
import { CLIENT_ID } from './oauth-client.ts'

const DEAL = { placement: 'CRM_DEAL_DETAIL_TAB', options: { ID: '7' } }
const pages: { close(): void }[] = []

/** What stands in `PLACEMENT_OPTIONS` of a page of the portal. */
function optionsIn(html: string): unknown {
  const [, options = ''] = /name="PLACEMENT_OPTIONS" value="([^"]*)"/.exec(html) ?? []
  return JSON.parse(options.replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code))))
}

/** An application's page that answers with these headers. */
async function openPage(status: number, headers: Record<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    request.resume()
    response.writeHead(status, { 'content-type': 'text/html', ...headers }).end('<p>Hello</p>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  pages.push({ close: () => server.close().closeAllConnections() })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

afterEach(() => {
  for (const page of pages.splice(0)) page.close()
})

// https://apidocs.bitrix24.com/api-reference/widgets/index.html
describe('a page at a placement', () => {
  it('is the one that was bound, and gets the options as a JSON text', async () => {
    const { sandbox, call, app } = await openApplication()
    await call('placement.bind', { PLACEMENT: DEAL.placement, HANDLER: `${app.url}one?keep=1` })
    await call('placement.bind', { PLACEMENT: DEAL.placement, HANDLER: `${app.url}two` })
    const open = async (more: object = {}) =>
      (await sandbox.app({ do: 'open', clientId: CLIENT_ID, ...DEAL, ...more })).form
    const first = await open()
    const url = new URL(first?.action ?? '')
    expect([url.pathname, url.searchParams.get('keep'), url.searchParams.get('LANG')]).toEqual([
      '/one',
      '1',
      'en',
    ])
    expect(first?.fields).toMatchObject({ PLACEMENT: DEAL.placement, PLACEMENT_OPTIONS: '{"ID":"7"}' })
    expect((await open({ handler: `${app.url}two` }))?.action).toContain('/two?DOMAIN=')
    expect(await open({ handler: `${app.url}three` })).toBeUndefined()
  })

  it('is found on the portal under a button, and is told where it stands', async () => {
    const { sandbox, call, app } = await openApplication()
    await call('placement.bind', {
      PLACEMENT: DEAL.placement,
      HANDLER: `${app.url}tab`,
      TITLE: 'Chairs & Tables',
    })
    const { text } = await send(`${sandbox.url}/apps/open?client_id=${CLIENT_ID}`)
    expect(text).toContain('<button>CRM_DEAL_DETAIL_TAB: Chairs &#38; Tables</button>')
    const query = new URLSearchParams({
      client_id: CLIENT_ID,
      placement: DEAL.placement,
      handler: `${app.url}tab`,
      options: '{"ID":"7"}',
    })
    const page = (await send(`${sandbox.url}/apps/open?${query}`)).text
    expect(page).toContain(`action="${app.url}tab?DOMAIN=`)
    expect(optionsIn(page)).toEqual({ ID: '7', URI: `/apps/open?${query}` })
  })

  it('may be of a user field or of the settings of a robot', async () => {
    const { sandbox, call, app } = await openApplication()
    await call('userfieldtype.add', { USER_TYPE_ID: 'colour', HANDLER: `${app.url}colour` })
    const robot = { CODE: 'ship', NAME: 'Ship', HANDLER: `${app.url}robot` }
    await call('bizproc.robot.add', {
      ...robot,
      USE_PLACEMENT: 'Y',
      PLACEMENT_HANDLER: `${app.url}settings`,
    })
    const pathOf = async (placement: string) => {
      const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID, placement })
      return new URL(form?.action ?? '').pathname
    }
    expect(await pathOf('USERFIELD_TYPE')).toBe('/colour')
    expect(await pathOf('BIZPROC_ACTIVITY_PROPERTIES_DIALOG')).toBe('/settings')
  })

  it('may be opened by a link that brings parameters', async () => {
    const { sandbox, call, app } = await openApplication()
    const path = `/marketplace/view/${CLIENT_ID}/?params[deal]=7&params[tab]=a+b`
    const main = (await send(`${sandbox.url}${path}`)).text
    expect(main).toContain(`action="${app.url}app?DOMAIN=`)
    await call('placement.bind', { PLACEMENT: 'REST_APP_URI', HANDLER: `${app.url}link` })
    const { text } = await send(`${sandbox.url}${path}`)
    expect(text).toContain(`action="${app.url}link?DOMAIN=`)
    expect(optionsIn(text)).toEqual({ deal: '7', tab: 'a b', URI: path })
    expect((await send(`${sandbox.url}/marketplace/view/nobody/`)).status).toBe(404)
    const clicked = async (link: string) =>
      (await sandbox.app({ do: 'open', clientId: CLIENT_ID, link })).form
    expect((await clicked(path))?.action).toContain(`${app.url}link?DOMAIN=`)
    expect((await clicked(path))?.fields).toMatchObject({
      PLACEMENT: 'REST_APP_URI',
      PLACEMENT_OPTIONS: '{"deal":"7","tab":"a b"}',
    })
    await expect(clicked('/marketplace/view/nobody/')).rejects.toThrow(/no link into the application/)
    await expect(clicked('/crm/deal/details/7/')).rejects.toThrow(/no link into the application/)
  })

  it('of a user field hands back a value where the field is edited, and nowhere else', async () => {
    const { sandbox, call, app } = await openApplication()
    await call('userfieldtype.add', { USER_TYPE_ID: 'colour', HANDLER: `${app.url}colour` })
    await call('placement.bind', { PLACEMENT: DEAL.placement, HANDLER: `${app.url}tab` })
    const field = { ENTITY_ID: 'CRM_DEAL', ENTITY_VALUE_ID: '7', FIELD_NAME: 'UF_CRM_1' }
    const handBack = async (value: unknown, placement: string, options: object) => {
      const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID, placement, options })
      const sid = new URL(form?.action ?? '').searchParams.get('APP_SID')
      const body = JSON.stringify({ sid, do: 'setValue', params: value })
      expect((await fetch(`${sandbox.url}/apps/session`, { method: 'POST', body })).status).toBe(200)
    }
    await handBack('red', 'USERFIELD_TYPE', { ...field, MODE: 'edit' })
    await handBack('blue', 'USERFIELD_TYPE', { ...field, MODE: 'edit' })
    await handBack('black', 'USERFIELD_TYPE', { ...field, MODE: 'view' })
    await handBack('white', DEAL.placement, DEAL.options)
    expect(sandbox.work().fieldValues).toEqual([
      { clientId: CLIENT_ID, entity: 'CRM_DEAL', id: '7', field: 'UF_CRM_1', value: 'blue' },
    ])
  })

  it('gets no tokens for somebody without access to the application', async () => {
    const { sandbox } = await openApplication()
    const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID, guest: true })
    expect(form?.fields).toMatchObject({
      AUTH_ID: '',
      AUTH_EXPIRES: '',
      REFRESH_ID: '',
      PLACEMENT: 'DEFAULT',
    })
    const page = (await send(`${sandbox.url}/apps/open?client_id=${CLIENT_ID}&guest=1`)).text
    expect(page).toContain('name="AUTH_ID" value=""')
  })
})

// https://apidocs.bitrix24.com/local-integrations/site-does-not-allow-connection.html
describe('a page in a frame', () => {
  const refused = /frame-ancestors does not name the portal/

  it.each([
    [200, { 'x-frame-options': 'DENY' }, false, /X-Frame-Options is DENY/],
    [200, { 'x-frame-options': 'SAMEORIGIN' }, false, /X-Frame-Options is SAMEORIGIN/],
    [200, { 'content-security-policy': "frame-ancestors 'self'" }, false, refused],
    [200, { 'content-security-policy': 'frame-ancestors https://127.0.0.1:*' }, false, refused],
    [200, { 'content-security-policy': 'frame-ancestors http://127.0.0.1' }, false, refused],
    [200, { 'content-type': 'application/json' }, false, /no web page/],
    [200, {}, true, /any site may show this page/],
    [200, { 'content-security-policy': "frame-ancestors 'self' http://127.0.0.1:*" }, true, undefined],
    [
      200,
      { 'x-frame-options': 'DENY', 'content-security-policy': "default-src 'self'; frame-ancestors *" },
      true,
      undefined,
    ],
    [500, { 'content-security-policy': 'frame-ancestors *' }, true, /answers 500/],
    [302, { location: '/elsewhere', 'content-security-policy': 'frame-ancestors *' }, true, /answers 302/],
  ])('that answers %i with %j is shown: %s', async (status, headers, framed, problem) => {
    const { sandbox, call } = await openApplication()
    const HANDLER = await openPage(status, headers as Record<string, string>)
    await call('placement.bind', { PLACEMENT: DEAL.placement, HANDLER })
    const { visit } = await sandbox.app({ do: 'visit', clientId: CLIENT_ID, ...DEAL })
    expect(visit).toMatchObject({ status, framed })
    if (problem === undefined) expect(visit?.problem).toBeUndefined()
    else expect(visit?.problem).toMatch(problem)
  })

  it('that does not answer is not shown', async () => {
    const { sandbox, app } = await openApplication()
    app.status = 0
    const { visit, form } = await sandbox.app({ do: 'visit', clientId: CLIENT_ID })
    expect(visit).toMatchObject({ framed: false, problem: expect.stringContaining('hang up') })
    expect(app.received[0]).toMatchObject({ method: 'POST', form: form?.fields })
  })
})
