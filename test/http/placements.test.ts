import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { FrameForm } from '../../src/sandbox/index.ts'
import { CLIENT_ID, type Connecting, type ConnectingOptions, connecting, storedTokens } from './connecting.ts'

const PAGE = 'text/html'
const OPTIONS = { ID: '7', nested: { a: ['<b>'] } }

/** A bridge and a portal on which the application lives, installed by user 1. */
async function installed(options: ConnectingOptions = {}): Promise<Connecting> {
  const bench = await connecting({
    ...options,
    application: (bridge) => ({
      installUrl: `${bridge}/install`,
      url: `${bridge}/b24/app`,
      scopes: ['crm', 'placement'],
    }),
  })
  const { form } = await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
  expect((await bench.submit(form!.action, form!.fields)).status).toBe(200)
  await bench.sandbox.app({ do: 'finish', clientId: CLIENT_ID })
  return bench
}

/** The form with which the portal opens a placement; the page's address is that of `deal-tab`. */
async function opening(
  bench: Connecting,
  more: { userId?: number; guest?: boolean; options?: unknown } = {},
): Promise<FrameForm> {
  const { form } = await bench.sandbox.app({
    do: 'open',
    clientId: CLIENT_ID,
    placement: 'CRM_DEAL_DETAIL_TAB',
    options: OPTIONS,
    ...more,
  })
  return { ...form!, action: form!.action.replace('/b24/app', '/b24/placements/deal-tab') }
}

describe('a page of a placement', () => {
  it('says who opened what, to the frame of that portal only', async () => {
    const bench = await installed()
    const { action, fields } = await opening(bench, { userId: 2 })
    const { status, headers, text } = await bench.submit(action, fields, PAGE)
    expect(status).toBe(200)
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(headers.get('x-frame-options')).toBeNull()
    expect(headers.get('set-cookie')).toBeNull()
    expect(headers.get('cache-control')).toBe('no-store')
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toContain(`frame-ancestors 'self' ${bench.sandbox.url}`)
    const nonce = /script-src 'nonce-([^']+)' 'strict-dynamic'/.exec(policy)?.[1]
    expect(text.match(/<script[^>]*>/g)?.every((tag) => tag.includes(`nonce="${nonce}"`))).toBe(true)
    expect(text).toContain('<code id="user_id">2</code>')
    expect(text).toContain('<code id="placement">CRM_DEAL_DETAIL_TAB</code>')
    expect(text).not.toContain('<b>')
    const again = await bench.submit(action, fields)
    expect(again.json).toEqual({
      status: 'ok',
      context: {
        page: 'deal-tab',
        portal: bench.sandbox.identity().domain,
        member_id: bench.sandbox.identity().memberId,
        application: CLIENT_ID,
        user_id: '2',
        is_admin: false,
        placement: 'CRM_DEAL_DETAIL_TAB',
        options: expect.objectContaining(OPTIONS),
        language: 'en',
      },
    })
    for (const secret of [fields.AUTH_ID!, fields.REFRESH_ID!, fields.APPLICATION_TOKEN!]) {
      expect(`${text}${again.text}`).not.toContain(secret)
      expect(JSON.stringify(bench.logged)).not.toContain(secret)
    }
  })

  it("keeps the tokens of each user for calls in his name, and never in place of the installer's", async () => {
    const bench = await installed()
    const installer = await storedTokens(bench, '1')
    const first = await opening(bench, { userId: 2 })
    await bench.submit(first.action, first.fields)
    expect((await storedTokens(bench, '2'))?.accessToken).toBe(first.fields.AUTH_ID)
    const second = await opening(bench, { userId: 2 })
    await bench.submit(second.action, second.fields)
    expect((await storedTokens(bench, '2'))?.accessToken).toBe(first.fields.AUTH_ID)
    const own = await opening(bench, { userId: 1 })
    expect((await bench.submit(own.action, own.fields)).json.context).toMatchObject({ is_admin: true })
    expect(await storedTokens(bench, '1')).toEqual(installer)
    expect(bench.changed).toHaveLength(1)
  })

  it('answers with a page whatever the options are, and for users without access', async () => {
    const bench = await installed()
    const deep = `{"a":${'['.repeat(9000)}${']'.repeat(9000)}}`
    for (const options of ['undefined', '', '[]', '{"a":', '"text"', '[1]', deep]) {
      const { action, fields } = await opening(bench)
      const answer = await bench.submit(action, { ...fields, PLACEMENT_OPTIONS: options })
      expect(answer.json.context, options.slice(0, 20)).toMatchObject({ user_id: '1', options: {} })
    }
    const guest = await opening(bench, { guest: true })
    expect(guest.fields.AUTH_ID ?? '').toBe('')
    const answer = await bench.submit(guest.action, guest.fields, PAGE)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('content-security-policy')).toContain('frame-ancestors')
    const context = (await bench.submit(guest.action, guest.fields)).json.context
    expect(context).toMatchObject({ user_id: null, is_admin: false, portal: bench.sandbox.identity().domain })
  })

  it('opens by a plain GET that says nothing, and then says nothing either', async () => {
    const bench = await installed()
    for (const path of ['/b24/placements/analytics', '/b24/app']) {
      const page = await bench.visit(path, PAGE)
      expect(page.status).toBe(200)
      expect(page.text).toContain('did not say who opens')
      expect((await bench.visit(path)).json).toEqual({ status: 'ok', context: null })
    }
    const bare = await bench.submit('/b24/placements/analytics', { PLACEMENT: 'DEFAULT' })
    expect(bare.json).toEqual({ status: 'ok', context: null })
  })

  it('works for the form of older portals, which has no application token', async () => {
    const bench = await installed({ sandbox: { switches: { newFrameFields: false } } })
    const { action, fields } = await opening(bench, { userId: 2 })
    expect(fields.APPLICATION_TOKEN).toBeUndefined()
    expect((await bench.submit(action, fields)).json.context).toMatchObject({ user_id: '2', is_admin: false })
  })

  it('installs an application without installer when an administrator opens its page first', async () => {
    const bench = await connecting({
      application: (bridge) => ({ url: `${bridge}/b24/app`, scopes: ['crm'] }),
    })
    await bench.sandbox.app({ do: 'install', clientId: CLIENT_ID })
    const stranger = await bench.sandbox.app({ do: 'open', clientId: CLIENT_ID, userId: 2 })
    const early = await bench.submit(stranger.form!.action, stranger.form!.fields)
    expect({ status: early.status, error: early.json.error }).toEqual({ status: 403, error: 'NOT_ADMIN' })
    expect(await bench.rows()).toEqual({})
    const { form } = await bench.sandbox.app({ do: 'open', clientId: CLIENT_ID })
    expect((await bench.submit(form!.action, form!.fields)).json.context).toMatchObject({ page: 'app' })
    expect(await bench.rows()).toEqual({ portals: 1, installations: 1, tokens: 1, application_tokens: 1 })
    const later = await bench.sandbox.app({ do: 'open', clientId: CLIENT_ID, userId: 2 })
    expect((await bench.submit(later.form!.action, later.form!.fields)).status).toBe(200)
  })
})

describe('a forged form', () => {
  it.each([
    ['a wrong application token', { APPLICATION_TOKEN: 'f'.repeat(32) }, 403, 'APPLICATION_TOKEN_WRONG'],
    ['a token that nobody gave out', { AUTH_ID: 'f'.repeat(70) }, 403, 'TOKEN_REFUSED'],
    ['a server of the sender', { SERVER_ENDPOINT: 'https://evil.example/rest/' }, 403, 'SERVER_NOT_ALLOWED'],
    ['another portal', { member_id: 'f'.repeat(32) }, 403, 'MEMBER_MISMATCH'],
    [
      'no user and a wrong application token',
      { AUTH_ID: '', APPLICATION_TOKEN: 'x' },
      403,
      'APPLICATION_TOKEN_WRONG',
    ],
    ['keys of objects', { '__proto__[admin]': '1' }, 400, 'FORM_INVALID'],
  ])('with %s is refused, and leaves nothing', async (_, forged, status, error) => {
    const bench = await installed()
    const before = await bench.rows()
    const { action, fields } = await opening(bench, { userId: 2 })
    const answer = await bench.submit(action, { ...fields, ...forged } as Record<string, string>)
    expect({ status: answer.status, error: answer.json.error }).toEqual({ status, error })
    expect(await bench.rows()).toEqual(before)
    const page = await bench.submit(action, { ...fields, ...forged } as Record<string, string>, PAGE)
    expect(page.text).toContain('This did not work')
    expect(page.text).not.toContain('<script')
  })

  it('with another domain makes nobody call it', async () => {
    const bench = await installed()
    const { action, fields } = await opening(bench)
    let called = 0
    const trap = createServer((_request, response) => {
      called += 1
      response.end()
    }).listen(0, '127.0.0.1')
    await once(trap, 'listening')
    onTestFinished(() => void trap.close())
    const url = new URL(action)
    url.searchParams.set('DOMAIN', `127.0.0.1:${(trap.address() as AddressInfo).port}`)
    const answer = await bench.submit(url.href, fields)
    expect({ status: answer.status, error: answer.json.error, called }).toEqual({
      status: 403,
      error: 'DOMAIN_MISMATCH',
      called: 0,
    })
  })

  it('whose user was believed a moment ago is refused all the same', async () => {
    const bench = await installed()
    const { action, fields } = await opening(bench, { userId: 2 })
    expect((await bench.submit(action, fields)).status).toBe(200)
    const forged = await bench.submit(action, { ...fields, APPLICATION_TOKEN: 'f'.repeat(32) })
    expect(forged.status).toBe(403)
  })

  it('leads to no file outside of the folder', async () => {
    const bench = await installed({ pages: { folder: tmpdir() } })
    for (const name of ['..%2fetc%2fpasswd', '.hidden', 'a.b', 'a%00b', 'x'.repeat(65)])
      expect((await bench.visit(`/b24/placements/${name}`)).status, name).toBe(404)
  })
})

describe('pages of your own', () => {
  it('come from a folder, filled in so that nothing in them can break out of its place', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'b24-pages-'))
    writeFileSync(
      join(folder, 'deal-tab.html'),
      '<script nonce="{{nonce}}" id="c" type="application/json">{{context}}</script><i>{{token}}</i>{{other}}',
    )
    const bench = await installed({ pages: { folder, secret: 'marked-secret-of-pages' } })
    const { action, fields } = await opening(bench, { options: { x: '</script><script>alert(1)</script>' } })
    const { text, headers } = await bench.submit(action, fields, PAGE)
    expect(text.match(/<\/script>/g)).toHaveLength(1)
    const json = JSON.parse(/json">(.*)<\/script>/.exec(text)?.[1] ?? '')
    expect(json.options).toMatchObject({ x: '</script><script>alert(1)</script>' })
    expect(text).toContain('{{other}}')
    const policy = headers.get('content-security-policy') ?? ''
    expect(policy).toContain(`nonce-${/nonce="([^"]+)"/.exec(text)?.[1]}`)
    expect(policy).toContain(`frame-ancestors 'self' ${bench.sandbox.url}`)
    expect(claimsOf(/<i>(.*)<\/i>/.exec(text)?.[1] ?? '', 'marked-secret-of-pages')).toMatchObject({
      user_id: '1',
      is_admin: true,
    })
    const nobody = await bench.visit('/b24/placements/deal-tab', PAGE)
    expect(nobody.text).toContain('>null</script><i></i>')
  })

  it('come from a program elsewhere, which is told who asks and can prove it', async () => {
    const seen: { headers: IncomingHttpHeaders; body: string; url: string | undefined }[] = []
    let status = 200
    const program = createServer(async (request, response) => {
      let body = ''
      for await (const piece of request) body += piece
      seen.push({ headers: request.headers, body, url: request.url })
      response.writeHead(status, { 'x-frame-options': 'DENY', 'set-cookie': 'a=1' }).end('<p>Hello</p>')
    }).listen(0, '127.0.0.1')
    await once(program, 'listening')
    onTestFinished(() => void program.close())
    const address = `http://127.0.0.1:${(program.address() as AddressInfo).port}/deal?x=1`
    const secret = 'marked-secret-of-pages'
    const bench = await installed({ pages: { addresses: { 'deal-tab': address }, secret } })
    const { action, fields } = await opening(bench, { userId: 2 })
    const { text, headers } = await bench.submit(action, fields, PAGE)
    expect(text).toBe('<p>Hello</p>')
    expect(headers.get('x-frame-options')).toBeNull()
    expect(headers.get('set-cookie')).toBeNull()
    expect(headers.get('content-security-policy')).toBe(
      `object-src 'none'; frame-ancestors 'self' ${bench.sandbox.url}`,
    )
    const token = String(seen[0]?.headers['x-b24-context'])
    expect(seen[0]).toMatchObject({ url: '/deal?x=1', body: JSON.stringify({ token }) })
    const claims = claimsOf(token, secret)
    expect(claims).toMatchObject({
      iss: 'bitrix24-bridge',
      page: 'deal-tab',
      portal: bench.sandbox.identity().domain,
      member_id: bench.sandbox.identity().memberId,
      user_id: '2',
      is_admin: false,
      placement: 'CRM_DEAL_DETAIL_TAB',
      options: OPTIONS,
    })
    expect(Number(claims.exp) - Number(claims.iat)).toBe(900)
    expect(JSON.stringify(seen)).not.toContain(fields.AUTH_ID)

    expect((await bench.visit('/b24/placements/deal-tab', PAGE)).status).toBe(403)
    expect(seen).toHaveLength(1)
    const large = await opening(bench, { options: { text: 'x'.repeat(9000) } })
    await bench.submit(large.action, large.fields, PAGE)
    expect(seen[1]?.headers['x-b24-context']).toBeUndefined()
    expect(claimsOf(JSON.parse(seen[1]?.body ?? '').token, secret)).toMatchObject({ user_id: '1' })
    status = 500
    expect((await bench.submit(action, fields, PAGE)).status).toBe(502)
  })
})

/** The claims of a token whose signature is right. */
function claimsOf(token: string, secret: string): Record<string, unknown> {
  const [head, claims, signature] = token.split('.')
  expect(signature).toBe(createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url'))
  expect(JSON.parse(Buffer.from(head ?? '', 'base64url').toString())).toEqual({ alg: 'HS256', typ: 'JWT' })
  return JSON.parse(Buffer.from(claims ?? '', 'base64url').toString())
}
