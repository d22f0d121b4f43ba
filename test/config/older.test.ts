import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { SettingKey } from '../../src/config/fields.ts'
import { capLimit, WITHOUT_EFFECT } from '../../src/config/older.ts'
import { type Environment, readSettings } from '../../src/config/read.ts'

const EMPTY = mkdtempSync(join(tmpdir(), 'b24-older-'))

function read(env: Environment, cwd = EMPTY) {
  return readSettings({ env, cwd })
}

function shown(env: Environment, key: SettingKey) {
  return read(env).settings.find((setting) => setting.key === key)
}

const PORTAL = { BITRIX24_DOMAIN: 'example.bitrix24.ru', BITRIX24_WEBHOOK_CODE: 'code123' }

describe('variables of bitrix24-bridge', () => {
  it('select its contract and its defaults', () => {
    const { config, faults } = read(PORTAL)
    expect(faults).toEqual([])
    expect(config).toMatchObject({
      broker: { kind: 'amqp', url: 'amqp://rabbitmq:rabbitmq@127.0.0.1:5672/%2F' },
      portal: { origin: 'https://example.bitrix24.ru', root: '/rest', userId: '1', secret: 'code123' },
      http: { host: '0.0.0.0', port: 8000 },
      topology: 'declare',
      contract: {
        name: 'bitrix24-bridge',
        strict: false,
        commandQueue: 'bitrix24-command',
        replyQueue: 'bitrix24-info',
        exchange: 'bitrix24',
        exchangeType: 'topic',
        exchangeDurable: true,
        queueDurable: true,
        commandRoutingKey: 'send.command',
        replyRoutingKey: 'send.info',
        allowReplyTo: false,
        many: true,
      },
    })
    expect(shown(PORTAL, 'contract')).toMatchObject({ source: 'because BITRIX24_DOMAIN is set' })
  })

  it.each([
    ['RABBITMQ_EXCHANGE', 'ex', { exchange: 'ex' }],
    ['RABBITMQ_EXCHANGE_TYPE', 'DIRECT', { exchangeType: 'direct' }],
    ['RABBITMQ_EXCHANGE_TYPE', 'strange', { exchangeType: 'topic' }],
    ['RABBITMQ_EXCHANGE_DURABLE', 'False', { exchangeDurable: false }],
    ['RABBITMQ_QUEUE_DURABLE', '0', { queueDurable: false }],
    ['RABBITMQ_ROUTING_KEY', 'r', { replyRoutingKey: 'r' }],
    ['RABBITMQ_SEND_MESSAGE_QUEUE', 'info', { replyQueue: 'info' }],
    ['RABBITMQ_MESSAGE_QUEUE', 'info', { replyQueue: 'info' }],
    ['RABBITMQ_COMMAND_QUEUE', 'command', { commandQueue: 'command' }],
    ['RABBITMQ_COMMAND_ROUTING_KEY', 'c', { commandRoutingKey: 'c' }],
  ])('%s=%s selects the contract and is used', (name, value, expected) => {
    expect(read({ [name]: value }).config?.contract).toMatchObject({ name: 'bitrix24-bridge', ...expected })
  })

  it('prefers the SEND_ form of the reply queue', () => {
    const env = { RABBITMQ_MESSAGE_QUEUE: 'a', RABBITMQ_SEND_MESSAGE_QUEUE: 'b' }
    expect(read(env).config?.contract).toMatchObject({ replyQueue: 'b' })
  })

  it.each([
    [{ RABBITMQ_URL: 'amqp://u:p@mq/v', RABBITMQ_HOST: 'other' }, 'amqp://u:p@mq/v'],
    [{ RABBITMQ_HOST: 'mq' }, 'amqp://rabbitmq:rabbitmq@mq:5672/%2F'],
    [{ RABBITMQ_PORT: '5673' }, 'amqp://rabbitmq:rabbitmq@127.0.0.1:5673/%2F'],
    [{ RABBITMQ_VIRTUAL_HOST: '/app' }, 'amqp://rabbitmq:rabbitmq@127.0.0.1:5672/%2Fapp'],
    [{ RABBITMQ_USER: 'me', RABBITMQ_PASS: 'p@ss/word' }, 'amqp://me:p%40ss%2Fword@127.0.0.1:5672/%2F'],
    [{ RABBITMQ_HOST: 'mq', RABBITMQ_PORT: 'tcp://10.0.0.7:5672' }, 'amqp://rabbitmq:rabbitmq@mq:5672/%2F'],
  ])('%o give the address of the broker', (env, url) => {
    expect(read(env).config?.broker).toEqual({ kind: 'amqp', url })
  })

  it.each([
    [{ ...PORTAL, BITRIX24_DOMAIN: 'https://example.bitrix24.ru/' }, 'https://example.bitrix24.ru', '1'],
    [{ ...PORTAL, BITRIX24_WEBHOOK_USER_ID: '42' }, 'https://example.bitrix24.ru', '42'],
    [{ BITRIX24_WEBHOOK_CODE: 'http://localhost:9000/rest/7/code123/' }, 'http://localhost:9000', '7'],
  ])('%o give the portal', (env, origin, userId) => {
    expect(read(env).config?.portal).toMatchObject({ origin, userId, secret: 'code123' })
  })

  it('says which half of the portal is missing', () => {
    expect(read({ BITRIX24_DOMAIN: 'x.bitrix24.ru' }).faults[0]).toMatch(/^BITRIX24_WEBHOOK_CODE is not set/)
    expect(read({ BITRIX24_WEBHOOK_CODE: 'code123' }).faults[0]).toMatch(/^BITRIX24_DOMAIN is not set/)
  })

  it.each([
    [
      { REQUESTS_PER_PERIOD: '100', REQUESTS_PERIOD: '15' },
      { capacity: 50, drainPerSecond: 2 },
    ],
    [{ REQUESTS_PER_PERIOD: '10' }, { capacity: 1, drainPerSecond: 0.6666 }],
    [{ REQUESTS_PERIOD: '100' }, { capacity: 2, drainPerSecond: 1 }],
    [
      { REQUESTS_PER_PERIOD: '10000', REQUESTS_PERIOD: '1' },
      { capacity: 50, drainPerSecond: 2 },
    ],
  ])('%o lower the limit and never raise it', (env, expected) => {
    const limit = read({ ...PORTAL, ...env }).config?.limit
    expect(limit?.drainPerSecond).toBe(expected.drainPerSecond)
    expect(limit?.capacity).toBeLessThanOrEqual(50)
    if (expected.capacity === 50) expect(limit).toEqual(expected)
  })

  it('keeps the cap in every stretch of its period', () => {
    for (const [requests, seconds] of [
      [1, 10],
      [10, 15],
      [40, 15],
      [100, 15],
      [7, 3],
    ] as const) {
      const { capacity, drainPerSecond } = capLimit({ capacity: 50, drainPerSecond: 2 }, requests, seconds)
      const worst = Math.ceil(capacity + drainPerSecond * seconds - 1e-9) - 1
      expect(worst).toBeLessThanOrEqual(requests)
    }
  })

  it("reads ALLOWED_HOSTS and CORS_HOSTS outside debugging, also the literal ['*']", () => {
    const env = { ...PORTAL, DEBUG: 'False', ALLOWED_HOSTS: "['*']", CORS_HOSTS: 'a.example,b.example' }
    expect(read(env).config?.http).toMatchObject({
      allowedHosts: ['*'],
      corsHosts: ['a.example', 'b.example'],
    })
    expect(read({ ...env, DEBUG: 'True', ALLOWED_HOSTS: 'a.example' }).config?.http).toMatchObject({
      allowedHosts: ['*'],
      corsHosts: [],
    })
  })

  it('takes an SQLite database and says that another one is not used', () => {
    expect(read({ ...PORTAL, DB_URL: 'sqlite:./x.db' }).config?.store).toBe('sqlite:./x.db')
    expect(read({ ...PORTAL, DB_DRIVER: 'sqlite', DB_NAME: 'x.db' }).config?.store).toBe('sqlite:x.db')
    const { config, notes } = read({ ...PORTAL, DB_URL: 'postgresql://me:topsecret123@db/x' })
    expect(config?.store).toBe('sqlite:./data/bridge.db')
    expect(notes.join()).toMatch(/DB_URL .* is not used/)
    expect(notes.join()).not.toContain('topsecret123')
  })

  it.each(Object.keys(WITHOUT_EFFECT))('accepts %s, which changes nothing', (name) => {
    const plain = read(PORTAL)
    const { config, faults } = read({ ...PORTAL, [name]: 'x' })
    expect(faults).toEqual([])
    expect(config).toEqual(plain.config)
  })

  it('reads env.dev while debugging, behind .env and the environment', () => {
    const cwd = mkdtempSync(join(tmpdir(), 'b24-older-'))
    writeFileSync(join(cwd, '.env'), 'BITRIX24_DOMAIN=one.bitrix24.ru\nBITRIX24_WEBHOOK_CODE=code123\n')
    writeFileSync(join(cwd, 'env.dev'), 'BITRIX24_DOMAIN=two.bitrix24.ru\nRABBITMQ_HOST=dev\n')
    expect(read({}, cwd).config).toMatchObject({
      portal: { domain: 'one.bitrix24.ru' },
      broker: { url: 'amqp://rabbitmq:rabbitmq@dev:5672/%2F' },
    })
    expect(read({ DEBUG: 'False' }, cwd).config?.broker).toMatchObject({
      url: expect.stringContaining('127.0.0.1'),
    })
  })

  it('leaves env.dev alone where nothing speaks of bitrix24-bridge', () => {
    const cwd = mkdtempSync(join(tmpdir(), 'b24-older-'))
    writeFileSync(join(cwd, 'env.dev'), 'BRIDGE_PREFETCH=3\nBRIDGE_WRONG=1\n')
    expect(read({}, cwd).config?.prefetch).toBe(500)
  })
})

describe('variables of RabbitMQtoBitrix24', () => {
  const FOUR = {
    AMPQURL: 'amqp://u:p@mq/',
    B24REST: 'https://box.example/rest/',
    AMPQIN: 'bitrix24in',
    AMPQOUT: 'bitrix24out',
  }

  it('select its contract, which needs no default portal and declares nothing', () => {
    expect(readSettings({ env: FOUR, cwd: EMPTY, needs: ['portal'] }).config).toMatchObject({
      broker: { kind: 'amqp', url: 'amqp://u:p@mq/' },
      portal: undefined,
      topology: 'passive',
      contract: {
        name: 'rabbitmq-to-bitrix24',
        commandQueue: 'bitrix24in',
        out: 'bitrix24out',
        replyMode: 'auto',
        rest: { origin: 'https://box.example', domain: 'box.example', root: '/rest' },
      },
    })
  })

  it.each([
    [{ AMQPURL: 'amqp://u:p@mq/' }],
    [{ AMQPIN: 'in', AMPQURL: 'amqp://u:p@mq/' }],
    [{ AMQPOUT: 'out', AMPQURL: 'amqp://u:p@mq/' }],
  ])('%o are understood as well', (env) => {
    const { config, faults } = read({ B24REST: 'https://box.example/rest/', ...env })
    expect(faults).toEqual([])
    expect(config?.contract).toMatchObject({
      commandQueue: 'AMQPIN' in env ? 'in' : 'bitrix24in',
      out: 'AMQPOUT' in env ? 'out' : 'bitrix24out',
    })
  })

  it('are asked for by name when one is missing', () => {
    expect(read({ AMPQIN: 'in' }).faults.join()).toMatch(/B24REST is not set.*AMPQURL is not set/)
    const embedded = { AMPQIN: 'in', B24REST: FOUR.B24REST, BRIDGE_BROKER: 'embedded' }
    expect(read(embedded).faults).toEqual([])
  })
})

describe('both together', () => {
  it('give way to BRIDGE_*', () => {
    const env = { ...PORTAL, RABBITMQ_HOST: 'mq', RABBITMQ_COMMAND_QUEUE: 'old', BRIDGE_COMMAND_QUEUE: 'new' }
    expect(read(env).config?.contract).toMatchObject({ name: 'bitrix24-bridge', commandQueue: 'new' })
    expect(read({ ...env, BRIDGE_BROKER: 'embedded' }).config?.broker).toEqual({ kind: 'embedded' })
    expect(read({ ...env, BRIDGE_CONTRACT: 'native' }).config).toMatchObject({
      broker: { kind: 'embedded' },
      portal: undefined,
    })
  })

  it('ask which program counts', () => {
    expect(read({ ...PORTAL, AMPQIN: 'in' }).faults[0]).toMatch(
      /BITRIX24_DOMAIN of bitrix24-bridge.*AMPQIN of/,
    )
  })

  it('select nothing by a broker address that BRIDGE_BROKER replaces', () => {
    const env = { RABBITMQ_URL: 'amqp://u:p@mq/', BRIDGE_BROKER: 'amqp://u:p@other/' }
    expect(read(env)).toMatchObject({ contract: 'native', config: { broker: { url: 'amqp://u:p@other/' } } })
  })
})

describe('variables of the Django client', () => {
  const env = {
    BB_RABBITMQ_URL: 'amqp://u:p@mq/',
    BB_RABBITMQ_ROUTING_KEY: 'to.bridge',
    BB_RABBITMQ_MESSAGE_QUEUE: 'info',
    BB_RABBITMQ_COMMAND_QUEUE: 'cmd',
    BB_RABBITMQ_EXCHANGE: 'ex',
    BB_RABBITMQ_EXCHANGE_TYPE: 'topic',
    BB_RABBITMQ_EXCHANGE_DURABLE: 'true',
    BB_RABBITMQ_QUEUE_DURABLE: 'false',
  }

  it('are read where commands are sent, and nowhere else', () => {
    expect(readSettings({ env, cwd: EMPTY, side: 'client' }).config).toMatchObject({
      broker: { url: 'amqp://u:p@mq/' },
      contract: {
        name: 'bitrix24-bridge',
        commandRoutingKey: 'to.bridge',
        replyQueue: 'info',
        commandQueue: 'cmd',
        exchange: 'ex',
        queueDurable: false,
      },
    })
    expect(read(env)).toMatchObject({ contract: 'native', faults: [] })
  })
})
