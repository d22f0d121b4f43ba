import { request } from 'node:http'
import { expect, it } from 'vitest'
import { createCommandGuard, isAllowedHost, isAllowedOrigin } from '../../src/http/access.ts'
import { ask, post, type Running, running, TOKEN } from './running.ts'

const DEAL = { method: 'crm.deal.get' }

/** `fetch` sets `Host` by itself; this one lets it be chosen. */
function getAs({ port }: Running, path: string, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const sent = request({ port, path, headers: { host, authorization: `Bearer ${TOKEN}` } }, (response) => {
      response.resume()
      resolve(response.statusCode ?? 0)
    })
    sent.on('error', reject).end()
  })
}

it('asks for the token, and says which header it wants', async () => {
  const server = await running()
  const answer = await post(server, DEAL, { authorization: '' })
  expect([answer.status, answer.json.error]).toEqual([401, 'TOKEN_MISSING'])
  expect(answer.headers.get('www-authenticate')).toContain('Bearer')
  expect(answer.json.hint).toContain('Authorization: Bearer')
})

it('turns a wrong token away and writes one line without it', async () => {
  const server = await running()
  for (const wrong of [
    'Bearer wrong-token',
    `Bearer ${TOKEN}x`,
    `Basic ${TOKEN}`,
    `Bearer ${TOKEN.slice(1)}`,
  ]) {
    expect((await post(server, DEAL, { authorization: wrong })).status).toBe(401)
  }
  expect((await ask(`${server.url}/v1/commands/1`, { headers: { authorization: 'Bearer no' } })).status).toBe(
    401,
  )
  expect(server.logged).toHaveLength(5)
  expect(server.logged[0]).toEqual({
    event: 'http.refused',
    fields: { route: '/v1/commands', code: 'TOKEN_WRONG', status: 401, client: '127.0.0.1' },
  })
  expect(JSON.stringify(server.logged)).not.toContain('wrong-token')
  expect(server.door.begun).toEqual([])
})

it('turns strangers away before their body is read', async () => {
  const server = await running({ maxBodyBytes: 10 })
  expect((await post(server, 'x'.repeat(1000), { authorization: '' })).status).toBe(401)
})

it('without a token serves programs on this machine, and health says so', async () => {
  const server = await running({ adminToken: undefined })
  expect((await post(server, DEAL, { authorization: '' })).status).toBe(200)
  expect((await ask(`${server.url}/health/ready`)).json.commands_from).toBe('this-machine')
  expect((await ask(`${(await running()).url}/health/ready`)).json.commands_from).toBe('token')
})

it('without a token turns web pages and proxied requests away', async () => {
  const server = await running({ adminToken: undefined, corsHosts: ['*'] })
  for (const headers of [
    { origin: 'http://evil.example' },
    { 'x-forwarded-for': '10.0.0.9' },
    { via: '1.1 proxy' },
  ]) {
    const answer = await post(server, DEAL, headers as Record<string, string>)
    expect([answer.status, answer.json.error]).toEqual([403, 'LOCAL_ONLY'])
  }
  expect(await getAs(server, '/v1/commands/1', 'rebound.example')).toBe(403)
  expect(await getAs(server, '/v1/commands/1', 'localhost:8000')).toBe(404)
})

it('without a token serves nobody else, whatever they say', () => {
  const guard = createCommandGuard(undefined)
  const headers = { host: '127.0.0.1:8000' }
  expect(() => guard({ address: '10.0.0.9', headers })).toThrow('Without a token')
  expect(() => guard({ address: '::ffff:10.127.0.1', headers })).toThrow('Without a token')
  expect(() => guard({ address: undefined, headers })).toThrow('Without a token')
  expect(() => guard({ address: '::ffff:127.0.0.1', headers })).not.toThrow()
  expect(() => guard({ address: '::1', headers: { host: '[::1]:8000' } })).not.toThrow()
})

it('serves only the host names of the settings; probes may use any', async () => {
  const server = await running({ allowedHosts: ['bridge.example.com'] })
  expect(await getAs(server, '/metrics', 'bridge.example.com:8000')).toBe(200)
  expect(await getAs(server, '/metrics', 'other.example.com')).toBe(400)
  expect(await getAs(server, '/health/ready', '10.0.0.7:8000')).toBe(200)
})

it.each([
  ['example.com', ['*'], true],
  ['Example.COM:80', ['example.com'], true],
  ['example.com:81', ['example.com:80'], false],
  ['a.example.com', ['.example.com'], true],
  ['example.com', ['.example.com'], true],
  ['example.com', ['*.example.com'], false],
  ['badexample.com', ['*.example.com', '.example.com'], false],
  ['[::1]:8000', ['[::1]'], true],
])('host %s among %j: %s', (host, hosts, allowed) => {
  expect(isAllowedHost(host, hosts)).toBe(allowed)
})

it('knows origins by host and as a whole', () => {
  expect(isAllowedOrigin('https://a.example', ['a.example'])).toBe(true)
  expect(isAllowedOrigin('https://a.example', ['https://a.example'])).toBe(true)
  expect(isAllowedOrigin('null', ['a.example'])).toBe(false)
  expect(isAllowedOrigin('https://b.example', [])).toBe(false)
})

it('answers preliminary questions of browsers for pages that are allowed, and no others', async () => {
  const server = await running({ corsHosts: ['shop.example'] })
  const asked = (origin: string) =>
    ask(`${server.url}/v1/commands`, {
      method: 'OPTIONS',
      headers: { origin, 'access-control-request-method': 'POST' },
    })
  const allowed = await asked('https://shop.example')
  expect(allowed.status).toBe(204)
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://shop.example')
  expect(allowed.headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
  const other = await asked('https://evil.example')
  expect(other.headers.get('access-control-allow-origin')).toBeNull()
  const answer = await post(server, DEAL, { origin: 'https://shop.example' })
  expect(answer.headers.get('access-control-allow-origin')).toBe('https://shop.example')
})
