import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checkServer } from '../../src/cli/doctor/broker.ts'
import { exitCodeFor, fail, ok, warn } from '../../src/cli/doctor/finding.ts'
import { checkNode } from '../../src/cli/doctor/here.ts'
import { BrokerError, ConfigError, RestError } from '../../src/model/errors.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'
import { emptyFolder, openPortal, run } from './support/command-line.ts'

interface Told {
  readonly ok: boolean
  readonly findings: readonly { check: string; state: string; text: string; hint?: string }[]
}

describe('doctor', () => {
  let portal: Awaited<ReturnType<typeof openPortal>>
  beforeAll(async () => {
    portal = await openPortal()
  })
  afterAll(() => portal.sandbox.close())

  it('says one line a check and ends with 0 when all is well, creating nothing', async () => {
    const cwd = emptyFolder()
    const { code, out } = await run(['doctor'], { cwd, env: { ...portal.env, BRIDGE_STORE: storeIn(cwd) } })
    expect(code).toBe(0)
    for (const check of [
      'settings',
      'node',
      'store',
      'broker',
      'portal',
      'rights',
      'scope',
      'clock',
      'limits',
    ])
      expect(out).toMatch(new RegExp(`^ok {4}${check}\\b`, 'm'))
    expect(out).not.toContain('s3cr3t')
    expect(existsSync(join(cwd, 'bridge.db'))).toBe(false)
  })

  it('looks into the queues once they exist', async () => {
    const cwd = emptyFolder()
    const env = { ...portal.env, BRIDGE_STORE: storeIn(cwd) }
    expect((await run(['setup'], { cwd, env })).code).toBe(0)
    const { out } = await run(['doctor'], { cwd, env })
    expect(out).toMatch(/^ok {4}queues {4}queue b24\.commands: 0 messages, 0 consumers$/m)
    expect(out).toMatch(/^ok {4}rights .*a queue was created, written, read and deleted$/m)
  })

  it('asks the portal with a single request', async () => {
    const before = portal.sandbox.stats().requests
    await run(['doctor'], { env: { ...portal.env, BRIDGE_STORE: storeIn(emptyFolder()) } })
    expect(portal.sandbox.stats().requests - before).toBe(1)
  })

  it('lists faults of the settings and stops there', async () => {
    const { code, out } = await run(['doctor', '--json'], {
      env: { BRIDGE_LIMITS: 'fast', BRIDGE_HTTP: 'x' },
    })
    expect(code).toBe(2)
    const { ok: good, findings } = JSON.parse(out) as Told
    expect(good).toBe(false)
    expect(findings.filter(({ state }) => state === 'fail')).toHaveLength(2)
    expect(findings.some(({ check }) => check === 'broker')).toBe(false)
  })

  it('says what to do about a broker and a portal that are not there, without their secrets', async () => {
    const env = {
      BRIDGE_STORE: storeIn(emptyFolder()),
      BRIDGE_BROKER: 'amqp://me:topsecret123@127.0.0.1:9/',
      BRIDGE_PORTAL: 'http://127.0.0.1:9/rest/1/topsecret123/',
    }
    const { code, out, err } = await run(['doctor', '--json'], { env })
    expect(code).toBe(4)
    expect(out + err).not.toContain('topsecret123')
    const failed = (JSON.parse(out) as Told).findings.filter(({ state }) => state === 'fail')
    expect(failed.map(({ check }) => check)).toEqual(['broker', 'portal'])
    for (const { hint } of failed) expect(hint).toBeTruthy()
  })

  it('ends with 3 when the portal does not know the webhook', async () => {
    const env = {
      BRIDGE_STORE: storeIn(emptyFolder()),
      BRIDGE_PORTAL: portal.env.BRIDGE_PORTAL.replace('s3cr3t', 'wr0ng'),
    }
    expect((await run(['doctor'], { env })).code).toBe(3)
  })

  it('warns when the user is no administrator, and when the cloud allows less', async () => {
    const env = {
      BRIDGE_STORE: storeIn(emptyFolder()),
      BRIDGE_PORTAL: 'https://nobody.invalid.bitrix24.com/rest/1/topsecret123/',
      BRIDGE_LIMITS: 'off',
    }
    const { out } = await run(['doctor'], { env })
    expect(out).toMatch(/^warn {2}limits .*no plan in the cloud allows as much/m)
  })

  it('says that a file is no store', async () => {
    const cwd = emptyFolder()
    writeFileSync(
      join(cwd, 'bridge.db'),
      'this is no database at all, just text that is long enough to be read',
    )
    const { code, out } = await run(['doctor'], { cwd, env: { ...portal.env, BRIDGE_STORE: storeIn(cwd) } })
    expect(code).toBe(4)
    expect(out).toMatch(/^FAIL {2}store /m)
  })

  it.skipIf(process.getuid?.() === 0)(
    'says that a folder cannot be written to (skipped for root)',
    async () => {
      const cwd = emptyFolder()
      mkdirSync(join(cwd, 'locked'))
      chmodSync(join(cwd, 'locked'), 0o500)
      const env = { ...portal.env, BRIDGE_STORE: `sqlite:${join(cwd, 'locked', 'x.db')}` }
      expect((await run(['doctor'], { env })).out).toMatch(/^FAIL {2}store .*cannot be written to/m)
    },
  )
})

describe('findings', () => {
  it('knows which versions of Node.js are new enough', () => {
    expect(checkNode('v20.19.0').state).toBe('ok')
    expect(checkNode('v24.1.0').state).toBe('ok')
    expect(checkNode('v20.18.3')).toMatchObject({ state: 'fail', exitCode: 2 })
  })

  it('tells what a broker of this version drops, and where to look', () => {
    const told = (version: string) => checkServer({ product: 'RabbitMQ', version })
    expect(checkServer(undefined)).toEqual([])
    expect(told('4.1.2')).toMatchObject([
      {
        state: 'ok',
        text: expect.stringContaining('RabbitMQ 4.1.2, which drops what comes back more than 20 times'),
        hint: expect.stringContaining('list_policies'),
      },
    ])
    expect(told('3.10.8')).toMatchObject([{ state: 'ok', text: expect.stringContaining('expires') }])
    expect(told('3.9.1')).toMatchObject([{ state: 'warn' }])
    expect(checkServer({ product: 'LavinMQ', version: '2.0.0' })).toEqual([ok('server', 'LavinMQ 2.0.0')])
  })

  it.skipIf(amqpUrl === undefined)(`asks RabbitMQ for its version${amqpNote}`, async () => {
    const env = { BRIDGE_BROKER: amqpUrl!, BRIDGE_STORE: storeIn(emptyFolder()) }
    const { out } = await run(['doctor'], { env })
    expect(out).toMatch(/^ok {4}server {4}RabbitMQ \d+\.\d+.* → See `rabbitmqctl list_policies`/m)
  })

  it('counts settings before what cannot be reached before what was refused, and warnings not at all', () => {
    const settings = fail('settings', new ConfigError(['x']))
    const broker = fail('broker', new BrokerError('X', 'x'))
    const portal = fail('portal', new RestError('X', '', 400))
    expect(exitCodeFor([ok('node', ''), warn('clock', '')])).toBe(0)
    expect(exitCodeFor([portal])).toBe(3)
    expect(exitCodeFor([portal, broker])).toBe(4)
    expect(exitCodeFor([portal, broker, settings])).toBe(2)
  })
})

function storeIn(folder: string): string {
  return `sqlite:${join(folder, 'bridge.db')}`
}
