import { describe, expect, it } from 'vitest'
import { ask, frozenClock, open, send } from './ask.ts'

const JSON_TYPE = { 'content-type': 'application/json' }
const FORM_TYPE = { 'content-type': 'application/x-www-form-urlencoded' }

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/general-principles.html
describe('an address', () => {
  it('answers server.time with a result, a time object and the headers of a portal', async () => {
    const sandbox = await open(frozenClock())
    const { status, headers, body } = await ask(sandbox, 'server.time')
    expect(status).toBe(200)
    expect(headers['content-type']).toBe('application/json; charset=utf-8')
    expect(headers['retry-after']).toBeUndefined()
    expect(body.result).toBe('2026-06-01T15:00:00+03:00')
    expect(body.time).toEqual({
      start: 1780315200,
      finish: 1780315200,
      duration: 0,
      processing: 0,
      date_start: '2026-06-01T15:00:00+03:00',
      date_finish: '2026-06-01T15:00:00+03:00',
      operating_reset_at: 1780315800,
      operating: 0,
    })
  })

  it.each(['server.time.json', 'SERVER.TIME', 'server.time/', '/server.time'])(
    'is understood as %s',
    async (form) => {
      const sandbox = await open()
      expect((await send(`${sandbox.webhookUrl}${form}`)).body.result).toMatch(/^\d{4}-.*\+03:00$/)
    },
  )

  it('takes a doubled slash with a token too', async () => {
    const sandbox = await open()
    expect((await send(`${sandbox.url}/rest//server.time?auth=${sandbox.accessToken}`)).status).toBe(200)
  })

  it('answers in XML when the suffix asks for it', async () => {
    const sandbox = await open()
    const { headers, text } = await send(`${sandbox.webhookUrl}profile.xml`)
    expect(headers['content-type']).toMatch(/^text\/xml/)
    expect(text).toMatch(/<response><result><ID>1<\/ID>.*<\/result><time>.*<\/time><\/response>$/s)
    const list = await send(`${sandbox.webhookUrl}scope.xml`)
    expect(list.text).toContain('<item>crm</item>')
  })

  it('outside /rest is a web page that is not there', async () => {
    const sandbox = await open()
    const { status, headers } = await send(`${sandbox.url}/company/`)
    expect([status, headers['content-type']]).toEqual([404, 'text/html; charset=utf-8'])
  })
})

// https://apidocs.bitrix24.com/error-codes.html
describe('a refusal', () => {
  it.each([
    [
      'an unknown method',
      '/rest/1/s3cr3t/no.such.method',
      404,
      'ERROR_METHOD_NOT_FOUND',
      'Method not found!',
    ],
    [
      'an unknown method with a wrong secret',
      '/rest/1/x/no.such',
      404,
      'ERROR_METHOD_NOT_FOUND',
      'Method not found!',
    ],
    [
      'a wrong secret',
      '/rest/1/WRONG/server.time',
      401,
      'INVALID_CREDENTIALS',
      'Invalid request credentials',
    ],
    ['a wrong user', '/rest/7/s3cr3t/server.time', 401, 'INVALID_CREDENTIALS', 'Invalid request credentials'],
    ['no proof at all', '/rest/server.time', 401, 'NO_AUTH_FOUND', 'Wrong authorization data'],
    [
      'a token that ran out',
      '/rest/server.time?auth=sandbox-expired-token',
      401,
      'expired_token',
      'The access token provided has expired.',
    ],
    [
      'a strange token',
      '/rest/server.time?auth=x',
      401,
      'invalid_token',
      'Unable to get application by token',
    ],
  ])('of %s is an error without result and time', async (_, path, status, error, error_description) => {
    const sandbox = await open()
    const reply = await send(`${sandbox.url}${path}`, { body: '{}', headers: JSON_TYPE })
    expect(reply.status).toBe(status)
    expect(reply.body).toEqual({ error, error_description })
  })

  it('has other statuses, codes and order where switches say so', async () => {
    const sandbox = await open({
      switches: {
        statuses: { INVALID_CREDENTIALS: 403 },
        methodBeforeAuth: false,
        unknownToken: 'NO_AUTH_FOUND',
      },
    })
    const wrongSecret = await send(`${sandbox.url}/rest/1/WRONG/no.such.method`)
    expect([wrongSecret.status, wrongSecret.body.error]).toEqual([403, 'INVALID_CREDENTIALS'])
    expect((await send(`${sandbox.url}/rest/server.time?auth=x`)).body.error).toBe('NO_AUTH_FOUND')
  })

  it('meets plain http in strict mode', async () => {
    const sandbox = await open({ switches: { strictHttps: true } })
    const { status, body } = await ask(sandbox, 'server.time')
    expect([status, body]).toEqual([400, { error: 'INVALID_REQUEST', error_description: 'Https required.' }])
  })

  it('meets a webhook without the scope', async () => {
    const sandbox = await open()
    sandbox.change({ scopes: { s3cr3t: ['task'] } })
    const { status, body } = await ask(sandbox, 'crm.deal.list')
    expect(status).toBe(401)
    expect(body).toEqual({
      error: 'insufficient_scope',
      error_description: 'The request requires higher privileges than provided by the webhook token',
    })
  })

  it('meets every call of a stopped portal', async () => {
    const sandbox = await open()
    sandbox.change({ stopped: true })
    const { status, body } = await ask(sandbox, 'server.time')
    expect([status, body]).toEqual([
      410,
      { error: 'PORTAL_DELETED', error_description: 'Portal was deleted' },
    ])
  })

  it('meets an overloaded credential and no other', async () => {
    const sandbox = await open()
    sandbox.change({ scopes: { other: ['crm'] }, overloaded: ['s3cr3t'] })
    const { status, body } = await ask(sandbox, 'server.time')
    expect(status).toBe(503)
    expect(body).toEqual({
      error: 'OVERLOAD_LIMIT',
      error_description: 'REST API is blocked due to overload.',
    })
    expect((await ask(sandbox, 'server.time', {}, { base: `${sandbox.url}/rest/1/other/` })).status).toBe(200)
  })

  it('meets a portal on the free plan', async () => {
    const sandbox = await open()
    sandbox.change({ freePlan: true })
    const { status, body } = await ask(sandbox, 'server.time')
    expect(status).toBe(403)
    expect(body).toEqual({
      error: 'ACCESS_DENIED',
      error_description: 'REST is available only on commercial plans.',
    })
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/authorization.html
describe('a token', () => {
  it('is taken from the body, a form, the query or a header, and no method sees it', async () => {
    const sandbox = await open()
    const url = `${sandbox.url}/rest/sandbox.echo`
    const auth = sandbox.accessToken
    const replies = await Promise.all([
      send(url, { body: JSON.stringify({ auth, a: '1' }), headers: JSON_TYPE }),
      send(url, { body: `auth=${auth}&a=1`, headers: FORM_TYPE }),
      send(`${url}?auth=${auth}&a=1`),
      send(`${url}?a=1`, { headers: { authorization: `bearer ${auth}` } }),
      send(`${sandbox.url}/rest/sandbox.echo?aplogin=1&ap=s3cr3t&a=1`),
    ])
    for (const { body } of replies) expect(body.result).toEqual({ a: '1' })
  })

  it('can run out while the portal runs', async () => {
    const sandbox = await open()
    sandbox.change({ expired: [sandbox.accessToken] })
    expect((await send(`${sandbox.url}/rest/profile?auth=${sandbox.accessToken}`)).body.error).toBe(
      'expired_token',
    )
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
describe('a body', () => {
  it('of broken JSON counts as no parameters', async () => {
    const sandbox = await open()
    const post = (method: string) =>
      send(`${sandbox.webhookUrl}${method}`, { body: '{broken', headers: JSON_TYPE })
    expect((await post('server.time')).status).toBe(200)
    const { status, body } = await post('crm.deal.get')
    expect([status, body]).toEqual([400, { error: '', error_description: 'ID is not defined or invalid.' }])
  })

  it('of JSON without its content type is one strange field', async () => {
    const sandbox = await open()
    const { body } = await send(`${sandbox.webhookUrl}crm.deal.get`, { body: '{"id":1}', headers: FORM_TYPE })
    expect(body.error_description).toBe('ID is not defined or invalid.')
  })

  it('makes the same object as a form, as multipart and as JSON', async () => {
    const sandbox = await open()
    const url = `${sandbox.webhookUrl}crm.contact.add`
    const multipart = [
      '--b\r\nContent-Disposition: form-data; name="fields[NAME]"\r\n\r\nZoë',
      '--b\r\nContent-Disposition: form-data; name="fields[PHONE][0][VALUE]"\r\n\r\n1',
      '--b--\r\n',
    ].join('\r\n')
    const ids = [
      await send(url, { body: 'fields[NAME]=Zo%C3%AB&fields%5BPHONE%5D[0][VALUE]=1', headers: FORM_TYPE }),
      await send(url, { body: multipart, headers: { 'content-type': 'multipart/form-data; boundary=b' } }),
      await ask(sandbox, 'crm.contact.add', { fields: { NAME: 'Zoë', PHONE: [{ VALUE: '1' }] } }),
    ].map((reply) => reply.body.result)
    const contacts = await Promise.all(ids.map((id) => ask(sandbox, 'crm.contact.get', { id })))
    const plain = contacts.map(({ body: { result } }) => {
      const { ID: _, DATE_CREATE: __, DATE_MODIFY: ___, PHONE, ...rest } = result
      return { ...rest, PHONE: PHONE.map(({ ID: _id, ...phone }: { ID: string }) => phone) }
    })
    expect(plain[0]).toMatchObject({
      NAME: 'Zoë',
      HAS_PHONE: 'Y',
      PHONE: [{ VALUE: '1', VALUE_TYPE: 'WORK' }],
    })
    expect(plain[1]).toEqual(plain[0])
    expect(plain[2]).toEqual(plain[0])
  })

  it('of JSON overwrites equal names of the query, whole', async () => {
    const sandbox = await open()
    const { body } = await ask(sandbox, 'sandbox.echo?a[x]=1&b=2', { a: { y: 3 } })
    expect(body.result).toEqual({ a: { y: 3 }, b: '2' })
  })

  it.each([
    ['a[]=1&a[]=2', { a: ['1', '2'] }],
    ['a[5]=x&a[]=y', { a: { 5: 'x', 6: 'y' } }],
    ['a[b][c]=1&a[b][d]=2', { a: { b: { c: '1', d: '2' } } }],
    ['a.b=1&c d=2', { a_b: '1', c_d: '2' }],
    ['a=1&a=2', { a: '2' }],
    ['a=1+2%2B3&b', { a: '1 2+3', b: '' }],
    ['a=100%&b=%zz', { a: '100%', b: '%zz' }],
  ])('reads the query %s as PHP does', async (query, expected) => {
    const sandbox = await open()
    const { body } = await send(`${sandbox.webhookUrl}sandbox.echo`, { body: query, headers: FORM_TYPE })
    expect(body.result).toEqual(expected)
  })

  it('goes by position for task comments, so that one parameter more shifts them', async () => {
    const sandbox = await open()
    const comment = [12, { POST_MESSAGE: 'x' }]
    expect((await ask(sandbox, 'task.commentitem.add', comment)).body.result).toBe(1)
    const form = { body: '0=12&1[POST_MESSAGE]=x', headers: FORM_TYPE }
    expect((await send(`${sandbox.webhookUrl}task.commentitem.add`, form)).body.result).toBe(2)
    const shifted = await ask(sandbox, 'task.commentitem.add?bx24_request_id=1', comment)
    expect([shifted.status, shifted.body.error]).toEqual([400, 'WRONG_ARGUMENTS'])
    expect(shifted.body.error_description).toContain('Param #0 (taskId)')
    const token = `${sandbox.url}/rest/task.commentitem.add?auth=${sandbox.accessToken}`
    expect((await send(token, { body: JSON.stringify(comment), headers: JSON_TYPE })).body.result).toBe(3)
  })
})

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/change-domen.html
describe('a renamed portal', () => {
  it('redirects with 302 and a page, and serves the same data under its new name', async () => {
    const sandbox = await open({ host: '0.0.0.0' })
    const added = await ask(sandbox, 'crm.deal.add', { fields: { TITLE: 'before' } })
    sandbox.rename('127.0.0.2')
    const old = await ask(sandbox, 'crm.deal.get', { id: added.body.result })
    const location = `${sandbox.webhookUrl.replace('127.0.0.1', '127.0.0.2')}crm.deal.get`
    expect([old.status, old.headers.location, old.body]).toEqual([302, location, undefined])
    const repeated = await send(location, {
      body: JSON.stringify({ id: added.body.result }),
      headers: JSON_TYPE,
    })
    expect(repeated.body.result.TITLE).toBe('before')
    sandbox.rename('127.0.0.1')
    expect((await ask(sandbox, 'crm.deal.get', { id: added.body.result })).status).toBe(200)
  })
})

describe('a portal of another address', () => {
  it('has its own data, limits and statistics', async () => {
    const sandbox = await open({ host: '0.0.0.0', deals: 3 })
    const other = { base: sandbox.webhookUrl.replace('127.0.0.1', '127.0.0.3') }
    await ask(sandbox, 'crm.deal.delete', { id: 1 })
    expect((await ask(sandbox, 'crm.deal.get', { id: 1 })).status).toBe(400)
    expect((await ask(sandbox, 'crm.deal.get', { id: 1 }, other)).status).toBe(200)
    expect([sandbox.stats().requests, sandbox.stats('127.0.0.3').requests]).toEqual([2, 1])
  })
})
