import { expect, it } from 'vitest'
import { ConfigError } from '../../src/model/errors.ts'
import { ask, running } from './running.ts'

it('lives without asking anything of the service', async () => {
  const server = await running({
    health: () => {
      throw new Error('not to be asked')
    },
  })
  const answer = await ask(`${server.url}/health/live`, { headers: { authorization: '' } })
  expect([answer.status, answer.json]).toEqual([200, { status: 'live', commands_from: 'token' }])
})

it('is ready while every part is', async () => {
  const { url } = await running()
  const answer = await ask(`${url}/health/ready`, { headers: { authorization: '' } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('cache-control')).toBe('no-store')
  expect(answer.json).toEqual({
    status: 'ready',
    draining: false,
    parts: { broker: { ok: true }, store: { ok: true } },
    commands_from: 'token',
  })
})

it('is not ready while the broker is away, and says why', async () => {
  const server = await running()
  const parts = [
    { name: 'broker', ok: false, reason: 'connection refused' },
    { name: 'store', ok: false },
  ]
  server.health = { draining: false, started: true, parts }
  const answer = await ask(`${server.url}/health/ready`)
  expect(answer.status).toBe(503)
  expect(answer.json).toMatchObject({
    status: 'not ready',
    error: 'NOT_READY',
    error_description: 'broker: connection refused; store: not ready',
    parts: { broker: { ok: false, reason: 'connection refused' }, store: { ok: false } },
  })
})

it('leaves parts out that a probe does not ask for: events are taken while the broker is away', async () => {
  const server = await running()
  const parts = [
    { name: 'broker', ok: false },
    { name: 'queue', ok: false },
    { name: 'store', ok: true },
  ]
  server.health = { ...server.health, parts }
  const answer = await ask(`${server.url}/readyz?exclude=broker&exclude=queue`)
  expect([answer.status, answer.json.parts]).toEqual([200, { store: { ok: true } }])
  expect((await ask(`${server.url}/readyz?exclude=broker`)).status).toBe(503)
  server.health = { ...server.health, draining: true }
  expect((await ask(`${server.url}/readyz?exclude=broker&exclude=queue`)).status).toBe(503)
})

it('is not ready while it shuts down, though every part is well', async () => {
  const server = await running()
  server.health = { ...server.health, draining: true }
  const answer = await ask(`${server.url}/health/ready`)
  expect([answer.status, answer.json.error, answer.json.draining]).toEqual([503, 'DRAINING', true])
})

it('has started once commands were taken, whatever became of the broker since', async () => {
  const server = await running({ allowedHosts: ['bridge.example'] })
  const parts = [{ name: 'broker', ok: false, reason: 'connection refused' }]
  server.health = { draining: false, started: false, parts }
  const before = await ask(`${server.url}/startupz`)
  expect([before.status, before.json.status]).toEqual([503, 'starting'])
  expect(before.json.error_description).toBe('broker: connection refused')
  server.health = { draining: true, started: true, parts }
  const after = await ask(`${server.url}/health/started`)
  expect([after.status, after.json]).toEqual([200, { status: 'started', commands_from: 'token' }])
})

it('answers probes by the names of Kubernetes too, for any host name', async () => {
  const { url } = await running({ allowedHosts: ['bridge.example'] })
  for (const path of ['livez', 'readyz', 'startupz']) expect((await ask(`${url}/${path}`)).status).toBe(200)
  expect((await ask(`${url}/metrics`)).json.error).toBe('HOST_NOT_ALLOWED')
})

it('answers unknown addresses with JSON that names the known ones', async () => {
  const { url } = await running()
  const answer = await ask(`${url}/v1/orders?x=1`)
  expect([answer.status, answer.json.error]).toEqual([404, 'ROUTE_UNKNOWN'])
  expect(answer.json.hint).toContain('POST /v1/commands')
  expect((await ask(`${url}/%zz`)).json).toMatchObject({ error: 'HTTP_INVALID' })
})

it('says which port is taken and what to do', async () => {
  const { port } = await running()
  const second = running({ port })
  await expect(second).rejects.toThrow(ConfigError)
  await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${port}: another program has the port.`)
})

it('shows an address that can be opened when it listens everywhere', async () => {
  const { url } = await running({ host: '0.0.0.0' })
  expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  expect((await ask(`${url}/health/live`)).status).toBe(200)
})

it('gives its port back when it is closed', async () => {
  const { server, url } = await running()
  await server.close()
  await expect(ask(`${url}/health/live`)).rejects.toThrow()
})
