import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { emptyFolder, run } from './support/command-line.ts'

function world() {
  const cwd = emptyFolder()
  return { cwd, env: { BRIDGE_STORE: `sqlite:${join(cwd, 'bridge.db')}` } }
}

describe('setup', () => {
  it('creates store and queues, twice without harm', async () => {
    const here = world()
    const first = await run(['setup', '--json'], here)
    expect(first.code).toBe(0)
    expect(JSON.parse(first.out)).toMatchObject({
      queues: ['b24.commands', 'b24.replies', 'b24.dead'],
      exchanges: [],
    })
    expect((await run(['setup'], here)).out).toMatch(/^store ready: .*\nqueue ready: b24\.commands\n/)
  })

  it('creates the folder of the store', async () => {
    const cwd = emptyFolder()
    const env = { BRIDGE_STORE: `sqlite:${join(cwd, 'a', 'b', 'bridge.db')}` }
    expect((await run(['setup'], { cwd, env })).code).toBe(0)
  })
})

describe('topology', () => {
  it('is missing, is made, is whole, is cleared', async () => {
    const here = world()
    const missing = await run(['topology', 'check'], here)
    expect(missing.code).toBe(4)
    expect(missing.out).toMatch(/^missing: queue b24\.commands$/m)
    expect((await run(['topology', 'init'], here)).code).toBe(0)
    const whole = await run(['topology', 'check', '--json'], here)
    expect(whole.code).toBe(0)
    expect(JSON.parse(whole.out)).toMatchObject({ ok: true })
    expect((await run(['topology', 'clear', '--yes'], here)).out).toMatch(/^deleted: queue b24\.commands$/m)
    expect((await run(['topology', 'check'], here)).code).toBe(4)
  })

  it('makes exchange, queues and bindings of bitrix24-bridge from its own variables', async () => {
    const here = world()
    const env = { ...here.env, RABBITMQ_COMMAND_QUEUE: 'my-commands', BRIDGE_BROKER: 'embedded' }
    const { out } = await run(['topology', 'init', '--json'], { ...here, env })
    expect(JSON.parse(out)).toEqual({
      exchanges: ['bitrix24'],
      queues: ['my-commands', 'bitrix24-info', 'b24.dead'],
    })
  })

  it('is not cleared without a yes', async () => {
    const here = world()
    await run(['topology', 'init'], here)
    const alone = await run(['topology', 'clear'], here)
    expect(alone.code).toBe(2)
    expect(alone.err).toMatch(/Nothing was deleted/)
    const refused = await run(['topology', 'clear'], { ...here, tty: true, input: 'no\n' })
    expect(refused.code).toBe(2)
    expect((await run(['topology', 'check'], here)).code).toBe(0)
    const agreed = await run(['topology', 'clear'], { ...here, tty: true, input: 'yes\n' })
    expect(agreed.code).toBe(0)
    expect(agreed.out).toMatch(/0 messages are lost\. Type yes: /)
  })
})
