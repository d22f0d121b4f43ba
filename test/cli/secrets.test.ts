import { join } from 'node:path'
import Database from 'libsql'
import { expect, it } from 'vitest'
import { createSandbox } from '../../src/sandbox/index.ts'
import { emptyFolder, openPortal, run } from './support/command-line.ts'

const SECRET = 'topsecret123topsecret123'

const COMMANDS: readonly (readonly string[])[] = [
  ['config', 'print'],
  ['config', 'check'],
  ['doctor'],
  ['setup'],
  ['topology', 'init'],
  ['topology', 'check'],
  ['topology', 'clear', '--yes'],
  ['call', 'profile'],
  ['call', 'crm.deal.add', 'fields[TITLE]=x'],
  ['list', 'crm.deal.list'],
  ['send', 'profile', '--timeout', '0.1'],
  ['portals', 'add', '--webhook', 'env:BRIDGE_PORTAL'],
  ['portals', 'list'],
  ['portals', 'check'],
  ['portals', 'import', '--from', 'simple-api', '--url', `postgres://me:${SECRET}@127.0.0.1:9/app`],
  ['apps', 'add', 'local.one', '--secret-file', 'env:BRIDGE_ADMIN_TOKEN'],
  ['apps', 'list'],
  ['secrets', 'status'],
  ['secrets', 'rotate'],
  ['run'],
]

it.each(COMMANDS.flatMap((words) => [words.join(' '), `${words.join(' ')} --json`]))(
  'prints no secret while nothing can be reached: %s',
  async (line) => {
    const env = {
      BRIDGE_STORE: `sqlite:${join(emptyFolder(), 'bridge.db')}`,
      BRIDGE_PORTAL: `http://127.0.0.1:9/rest/1/${SECRET}/`,
      BRIDGE_ADMIN_TOKEN: SECRET,
      BRIDGE_HTTP: '127.0.0.1:0',
      BRIDGE_PORTAL_WAIT: '0',
      BRIDGE_LOG_LEVEL: 'silent',
    }
    const interrupt = AbortSignal.timeout(1500)
    const { out, err } = await run(line.split(' '), { env, signal: interrupt })
    expect(out + err).not.toContain(SECRET)
  },
)

it.each(COMMANDS.map((words) => words.join(' ')))(
  'prints no secret of settings that are wrong: %s',
  async (line) => {
    const env = {
      BRIDGE_STORE: `postgres://me:${SECRET}@db/x`,
      BRIDGE_PORTAL: `http://127.0.0.1:9/rest/x/${SECRET}/`,
      BRIDGE_BROKER: `amqp//me:${SECRET}@mq`,
      BRIDGE_ADMIN_TOKEN: `${SECRET} with spaces`,
      BRIDGE_REST: `https://example.bitrix24.com/rest/1/${SECRET}/`,
      BRIDGE_WRONG: SECRET,
    }
    const { code, out, err } = await run(line.split(' '), { env })
    expect(code).toBe(2)
    expect(out + err).not.toContain(SECRET)
  },
)

it('prints no secret of a portal that answers', async () => {
  const portal = await openPortal()
  try {
    const env = { ...portal.env, BRIDGE_STORE: `sqlite:${join(emptyFolder(), 'bridge.db')}` }
    for (const words of [
      ['doctor'],
      ['config', 'print'],
      ['call', 'profile', '--json'],
      ['call', 'no.such'],
    ]) {
      const { out, err } = await run(words, { env })
      expect(out + err, words.join(' ')).not.toContain('s3cr3t')
    }
  } finally {
    await portal.sandbox.close()
  }
})

it('prints no secret of portals, applications and tokens, whatever is asked and goes wrong', async () => {
  const app = { clientId: 'local.orders', clientSecret: 'marked-client-secret' }
  const sandbox = await createSandbox({ plan: 'self-hosted', applications: [app], oauthPort: 0 })
  const cwd = emptyFolder()
  const key = Buffer.from('marked-key-of-thirty-two-bytes-!').toString('base64')
  const env = {
    BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}`,
    BRIDGE_SECRET_KEY: `k1:${key}`,
    BRIDGE_OAUTH_SERVERS: sandbox.oauthUrl,
    BRIDGE_LIMITS: 'off',
    HOOK: sandbox.webhookUrl,
  }
  const { token } = await sandbox.app({ do: 'token', clientId: app.clientId })
  const { access_token, refresh_token } = token!
  const { domain, memberId, clientEndpoint } = sandbox.identity()
  const old = new Database(join(cwd, 'old.db'))
  old.exec(
    `create table api_tokens_bitrix24 as select 'm' as member_id, 'marked-old-access' as access_token,
     'marked-old-refresh' as refresh_token, 'example.bitrix24.com' as domain, '' as client_endpoint, 'local.old' as client_id,
     'marked-old-secret' as client_secret, 'marked-old-token' as application_token
     union all select 'n', 'marked-old-access', '', 'http://', '', 'local.old', 'marked-old-secret', ''`,
  )
  old.close()
  const add = ['portals', 'add', '--domain', domain, '--endpoint', clientEndpoint, '--member-id', memberId]
  const pair = ['--client-id', app.clientId, '--access-token-file', '-', '--refresh-token-file', '-']
  const from = ['portals', 'import', '--from', 'simple-api', '--url', `sqlite:${join(cwd, 'old.db')}`]
  const commands: readonly (readonly [words: readonly string[], input?: string])[] = [
    [['portals', 'add', '--webhook', 'env:HOOK', '--name', 'CRM']],
    [['portals', 'add', '--webhook', `${sandbox.url}/rest/1/marked-wrong-code/`]],
    [['apps', 'add', app.clientId, '--secret-file', '-'], app.clientSecret],
    [[...add, ...pair], `${access_token}\n${refresh_token}`],
    [[...add, ...pair], 'marked-wrong-access\nmarked-wrong-refresh'],
    [[...add, ...pair, '--user', '77'], `${access_token}\n${refresh_token}`],
    [[...from, '--dry-run']],
    [from],
    [['portals', 'list']],
    [['portals', 'show', memberId]],
    [['portals', 'show', 'm']],
    [['portals', 'check', domain]],
    [['portals', 'refresh', domain]],
    [['portals', 'check', domain]],
    [['apps', 'list']],
    [['secrets', 'status']],
    [['secrets', 'rotate']],
    [['config', 'print']],
    [['doctor']],
    [['portals', 'remove', domain, '--yes']],
    [['portals', 'show', domain]],
  ]
  const secrets = ['marked', 's3cr3t', access_token, refresh_token, key]
  let written = ''
  try {
    for (const [words, input = ''] of commands)
      for (const more of [[], ['--json']]) {
        const { out, err } = await run([...words, ...more], { env, cwd, input })
        written += out + err
        for (const secret of secrets) expect(out + err, words.join(' ')).not.toContain(secret)
      }
    for (const done of ['local.old', 'it answered', 'renewed: pair', 'refused: row 2', 'removed: '])
      expect(written).toContain(done)
  } finally {
    await sandbox.close()
  }
})
