import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { expect, it, onTestFinished } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { createSandbox } from '../../src/sandbox/index.ts'
import { startService } from '../../src/service.ts'

const APPLICATION = { clientId: 'local.old', clientSecret: 'the-old-secret' }

it('connects the portal whose application an older bridge had in its environment, once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'b24-first-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const sandbox = await createSandbox({ applications: [APPLICATION], oauthPort: 0 })
  onTestFinished(() => sandbox.close())
  const { token } = await sandbox.app({ do: 'token', clientId: APPLICATION.clientId })
  const refreshToken = token?.refresh_token ?? ''
  const config = readConfig({
    env: {
      BITRIX24_DOMAIN: new URL(sandbox.url).host,
      BITRIX24_CLIENT_ID: APPLICATION.clientId,
      BITRIX24_CLIENT_SECRET: APPLICATION.clientSecret,
      BITRIX24_REFRESH_TOKEN: refreshToken,
      BITRIX24_USE_WEBHOOK: 'False',
      BRIDGE_BROKER: 'embedded',
      BRIDGE_STORE: `sqlite:${join(folder, 'bridge.db')}`,
      BRIDGE_HTTP: '127.0.0.1:0',
      BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    },
    cwd: folder,
  })
  expect(config.contract.name).toBe('bitrix24-bridge')
  const logs: string[] = []
  const logger = pino({ base: null }, { write: (line: string) => void logs.push(line) })
  // Twice: from the second start on, the store knows better.
  for (let start = 0; start < 2; start++) {
    const service = await startService(config, { logger })
    const answer = await fetch(`${service.url}/v1/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ method: 'profile' }),
    })
    expect(await answer.json()).toMatchObject({ outcome: 'done', result: { ID: '1' } })
    await service.stop()
  }
  expect(sandbox.oauthStats().refreshes.ok).toBe(1)
  expect(logs.join()).toContain('install.saved')
  for (const secret of [APPLICATION.clientSecret, refreshToken]) expect(logs.join()).not.toContain(secret)
})
