import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { createLog } from '../../src/log.ts'
import { type Service, startService } from '../../src/service.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'
import { emptyFolder, openPortal, run } from './support/command-line.ts'

type Env = Readonly<Record<string, string>>

async function serve(env: Env): Promise<Service> {
  const config = readConfig({ env: { ...env, BRIDGE_HTTP: '127.0.0.1:0' }, cwd: emptyFolder() })
  return startService(config, { logger: createLog({ level: 'silent', format: 'json' }).logger })
}

function store(): Env {
  return { BRIDGE_STORE: `sqlite:${join(emptyFolder(), 'bridge.db')}` }
}

describe('send through the embedded broker', () => {
  let portal: Awaited<ReturnType<typeof openPortal>>
  let service: Service
  let env: Env
  beforeAll(async () => {
    portal = await openPortal()
    env = { ...portal.env, ...store() }
    service = await serve(env)
  })
  afterAll(async () => {
    await service?.stop()
    await portal.sandbox.close()
  })

  it('prints the result of the reply', async () => {
    const { code, out, err } = await run(['send', 'crm.deal.get', 'id=1'], { env })
    expect([code, err]).toEqual([0, ''])
    expect(JSON.parse(out)).toMatchObject({ ID: '1' })
  })

  it('prints the whole reply with --json, of lists too', async () => {
    const { code, out } = await run(['send', 'crm.deal.list', '--action', 'list', '--json'], { env })
    expect(code).toBe(0)
    const reply = JSON.parse(out) as { outcome: string; result: unknown[] }
    expect(reply).toMatchObject({ outcome: 'done', action: 'list' })
    expect(reply.result).toHaveLength(5)
  })

  it('ends with exit code 3 when the portal refuses', async () => {
    const { code, err } = await run(['send', 'no.such.method'], { env })
    expect(code).toBe(3)
    expect(err).toMatch(/ERROR_METHOD_NOT_FOUND/)
  })

  it('gets the same reply for the same id, without a second deal', async () => {
    const words = ['send', 'crm.deal.add', 'fields[TITLE]=Once', '--id', 'order-4711']
    const first = await run(words, { env })
    const second = await run(words, { env })
    expect([first.code, second.code]).toEqual([0, 0])
    expect(second.out).toBe(first.out)
  })

  it('leaves the command in the queue with --no-wait', async () => {
    const { code, out } = await run(['send', 'profile', '--no-wait', '--id', 'later'], { env })
    expect([code, out]).toEqual([0, 'The command later is in the queue.\n'])
  })
})

describe('send without a service', () => {
  it('ends with exit code 5 when no reply comes in time, and says why', async () => {
    const env = store()
    await run(['setup'], { env })
    const { code, err } = await run(['send', 'profile', '--timeout', '0.2'], { env })
    expect(code).toBe(5)
    expect(err).toMatch(/No reply within 0\.2 s; the command stays in the queue/)
  })

  it('ends with exit code 4 when there is no queue', async () => {
    expect((await run(['send', 'profile'], { env: store() })).code).toBe(4)
  })

  it('does not read the replies of others', async () => {
    const env = {
      ...store(),
      BRIDGE_CONTRACT: 'rabbitmq-to-bitrix24',
      BRIDGE_PORTAL: 'https://example.bitrix24.com/rest/1/topsecret123/',
      BRIDGE_REPLY_MODE: 'queue',
    }
    const { code, err } = await run(['send', 'profile'], { env })
    expect(code).toBe(2)
    expect(err).toMatch(/which others read\.\n.*--no-wait/)
  })
})

describe.skipIf(amqpUrl === undefined)(`send through RabbitMQ${amqpNote}`, () => {
  const BROKER = { BRIDGE_BROKER: amqpUrl ?? '' }
  const name = `cli-test-${process.pid}`

  it.each([
    [
      'native',
      {
        BRIDGE_COMMAND_QUEUE: `${name}.in`,
        BRIDGE_REPLY_QUEUE: `${name}.out`,
        BRIDGE_DEAD_QUEUE: `${name}.dead`,
      },
    ],
    [
      'bitrix24-bridge',
      {
        BRIDGE_CONTRACT: 'bitrix24-bridge',
        BRIDGE_EXCHANGE: name,
        BRIDGE_COMMAND_QUEUE: `${name}-command`,
        BRIDGE_REPLY_QUEUE: `${name}-info`,
      },
    ],
    [
      'rabbitmq-to-bitrix24',
      {
        BRIDGE_CONTRACT: 'rabbitmq-to-bitrix24',
        BRIDGE_TOPOLOGY: 'declare',
        BRIDGE_REPLY_MODE: 'exchange',
        BRIDGE_COMMAND_QUEUE: `${name}in`,
        BRIDGE_REPLY_QUEUE: `${name}out`,
      },
    ],
  ])('sets up, sends, hears the reply and clears (%s)', async (_contract, own) => {
    const portal = await openPortal()
    const env: Env = { ...portal.env, ...store(), ...BROKER, ...own }
    expect(await run(['setup'], { env })).toMatchObject({ code: 0, err: '' })
    const service = await serve(env)
    try {
      const sent = await run(['send', 'crm.deal.get', 'id=1'], { env })
      expect(sent).toMatchObject({ code: 0, err: '' })
      expect(sent.out).toContain('"ID": "1"')
      expect((await run(['send', 'no.such.method'], { env })).code).toBe(3)
      const doctor = await run(['doctor'], { env })
      expect(doctor.out).toMatch(/1 consumers/)
      expect(doctor.code).toBe(0)
    } finally {
      await service.stop()
      await run(['topology', 'clear', '--yes'], { env })
      await portal.sandbox.close()
    }
  })
})
