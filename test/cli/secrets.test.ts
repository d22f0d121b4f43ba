import { join } from 'node:path'
import { expect, it } from 'vitest'
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
