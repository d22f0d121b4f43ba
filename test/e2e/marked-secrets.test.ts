import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { createSandbox } from '../../src/sandbox/index.ts'
import { startService } from '../../src/service.ts'

const ADMIN = 'marked-admin-token-0123456789'
const APPLICATION = { clientId: 'local.marked', clientSecret: 'marked-client-secret' }

/** Every file below a folder, as text that keeps each byte. */
async function everythingIn(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((one) => one.isFile()).map((one) => join(one.parentPath, one.name))
  return (await Promise.all(files.map((file) => readFile(file, 'latin1')))).join('\n')
}

it('writes no secret anywhere: logs, answers, replies, metrics, store, spool', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'b24-marked-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const sandbox = await createSandbox({ applications: [APPLICATION], oauthPort: 0 })
  onTestFinished(() => sandbox.close())
  const { token } = await sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
  const {
    access_token: access = '',
    refresh_token: refresh = '',
    client_endpoint: endpoint = '',
  } = token ?? {}
  const { memberId, domain } = sandbox.identity()
  const config = readConfig({
    env: {
      BITRIX24_DOMAIN: domain,
      BITRIX24_CLIENT_ID: APPLICATION.clientId,
      BITRIX24_CLIENT_SECRET: APPLICATION.clientSecret,
      BITRIX24_REFRESH_TOKEN: refresh,
      BRIDGE_BROKER: 'embedded',
      BRIDGE_STORE: `sqlite:${join(folder, 'bridge.db')}`,
      BRIDGE_HTTP: '127.0.0.1:0',
      BRIDGE_ADMIN_TOKEN: ADMIN,
      BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
      BRIDGE_LOG_LEVEL: 'trace',
    },
    cwd: folder,
  })
  const said: string[] = []
  const logger = pino({ base: null, level: 'trace' }, { write: (line: string) => void said.push(line) })
  const service = await startService(config, { logger })
  const ask = async (method: string, path: string, body?: unknown, bearer = ADMIN): Promise<number> => {
    const answer = await fetch(`${service.url}${path}`, {
      method,
      headers: { 'content-type': 'application/json', authorization: `Bearer ${bearer}` },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    said.push(await answer.text())
    return answer.status
  }
  expect(await ask('POST', '/v1/commands', { method: 'profile' })).toBe(200)
  sandbox.advance(2 * 3_600_000)
  expect(
    await ask('POST', '/v1/commands', { method: 'crm.deal.add', params: { fields: { TITLE: 'x' } } }),
  ).toBe(200)
  expect(await ask('POST', '/v1/commands', { method: 'no.such.method' })).toBe(200)
  expect(await ask('POST', '/v1/commands', { method: 'profile' }, 'a-wrong-token')).toBe(401)
  const wrong = { access_token: 'marked-wrong-access', refresh_token: 'marked-wrong-refresh', domain }
  expect(await ask('PUT', `/v1/portals/${memberId}/tokens`, wrong)).toBeGreaterThanOrEqual(400)
  for (const path of ['/v1/portals', `/v1/portals/${memberId}`, '/metrics', '/health/ready'])
    await ask('GET', path)
  await sandbox.app({ do: 'uninstall', clientId: APPLICATION.clientId })
  await ask('POST', '/v1/commands', { method: 'profile' })
  await service.stop()

  expect(sandbox.oauthStats().refreshes.ok).toBe(2)
  const written = `${said.join('\n')}\n${await everythingIn(folder)}`
  expect(written).toContain('install.saved')
  expect(written).toContain(memberId)
  expect(written).toContain(endpoint)
  const marked = [
    ADMIN,
    APPLICATION.clientSecret,
    access,
    refresh,
    'marked-wrong-access',
    'marked-wrong-refresh',
    'a-wrong-token',
  ]
  for (const secret of marked) expect(written.includes(secret), secret).toBe(false)
})
