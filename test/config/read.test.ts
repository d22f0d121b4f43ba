import { mkdtempSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { FIELDS, SETTINGS, type SettingKey } from '../../src/config/fields.ts'
import { type ConfigSources, type Environment, readConfig, readSettings } from '../../src/config/read.ts'
import { ConfigError } from '../../src/model/errors.ts'

const EMPTY = mkdtempSync(join(tmpdir(), 'b24-config-'))
const WEBHOOK = 'https://example.bitrix24.com/rest/1/topsecret123/'

function read(env: Environment, more: Partial<ConfigSources> = {}) {
  return readSettings({ env, cwd: EMPTY, ...more })
}

function folder(files: Record<string, string>): string {
  const path = mkdtempSync(join(tmpdir(), 'b24-config-'))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text)
  return path
}

describe('defaults', () => {
  it('needs nothing to be set', () => {
    expect(read({}).config).toMatchObject({
      broker: { kind: 'embedded' },
      store: 'sqlite:./data/bridge.db',
      portal: undefined,
      limit: { capacity: 50, drainPerSecond: 2 },
      contract: {
        name: 'native',
        commandQueue: 'b24.commands',
        replyQueue: 'b24.replies',
        deadQueue: 'b24.dead',
      },
      topology: 'declare',
      prefetch: 500,
      maxInFlight: 10,
      portalWaitMs: 300_000,
      requestTimeoutMs: 65_000,
      drainTimeoutMs: 70_000,
      operatingLimitSeconds: 480,
      ledgerRetentionMs: 86_400_000,
      maxBodyBytes: 16 * 1024 * 1024,
      http: { host: '127.0.0.1', port: 8000, allowedHosts: ['*'], corsHosts: [] },
      adminToken: undefined,
      log: { level: 'info', format: 'json' },
    })
  })

  it('writes logs for people on a terminal', () => {
    expect(read({}, { tty: true }).config?.log.format).toBe('pretty')
  })
})

describe('every setting', () => {
  const cases: [SettingKey, string, (config: ReturnType<typeof readConfig>) => unknown, unknown, string?][] =
    [
      ['broker', 'amqp://me:pw@mq/v', (c) => c.broker, { kind: 'amqp', url: 'amqp://me:pw@mq/v' }, 'flag'],
      ['store', 'sqlite:/tmp/x.db', (c) => c.store, 'sqlite:/tmp/x.db'],
      ['portal', WEBHOOK, (c) => c.portal?.domain, 'example.bitrix24.com'],
      ['http', '[::1]:0', (c) => [c.http.host, c.http.port], ['::1', 0]],
      ['adminToken', 'a-token-of-many-letters', (c) => c.adminToken, 'a-token-of-many-letters'],
      ['allowedHosts', 'a.example, b.example', (c) => c.http.allowedHosts, ['a.example', 'b.example']],
      ['corsHosts', "['*']", (c) => c.http.corsHosts, ['*']],
      ['contract', 'bitrix24-bridge', (c) => c.contract.name, 'bitrix24-bridge'],
      ['topology', 'Passive', (c) => c.topology, 'passive'],
      ['commandQueue', 'in', (c) => c.contract.commandQueue, 'in'],
      ['replyQueue', 'out', (c) => c.contract.name === 'native' && c.contract.replyQueue, 'out'],
      ['prefetch', '7', (c) => c.prefetch, 7],
      ['limits', '250/5', (c) => c.limit, { capacity: 250, drainPerSecond: 5 }],
      ['operatingLimit', '60', (c) => c.operatingLimitSeconds, 60],
      ['maxInFlight', '3', (c) => c.maxInFlight, 3],
      ['requestTimeout', '1.5', (c) => c.requestTimeoutMs, 1500],
      ['portalWait', '0', (c) => c.portalWaitMs, 0],
      ['ledgerRetention', '2', (c) => c.ledgerRetentionMs, 7_200_000],
      ['drainTimeout', '5', (c) => c.drainTimeoutMs, 5000],
      ['maxBody', '2048', (c) => c.maxBodyBytes, 2048],
      ['logLevel', 'WARN', (c) => c.log.level, 'warn'],
      ['logFormat', 'pretty', (c) => c.log.format, 'pretty'],
    ]

  it.each(cases)('%s is read from its flag and from its variable', (key, text, pick, expected) => {
    expect(pick(readConfig({ env: { [FIELDS[key].env]: text }, cwd: EMPTY }))).toEqual(expected)
    expect(pick(readConfig({ env: {}, cwd: EMPTY, flags: { [key]: text } }))).toEqual(expected)
  })

  it.each([
    ['contractStrict', 'yes', { strict: true }],
    ['replyToAllowed', '1', { allowReplyTo: true }],
    ['replyMany', 'false', { many: false }],
    ['exchange', 'ex', { exchange: 'ex' }],
    ['exchangeType', 'DIRECT', { exchangeType: 'direct' }],
    ['exchangeDurable', 'off', { exchangeDurable: false }],
    ['queueDurable', 'false', { queueDurable: false }],
    ['commandKey', 'c.k', { commandRoutingKey: 'c.k' }],
    ['replyKey', 'r.k', { replyRoutingKey: 'r.k' }],
  ] as const)('%s is an option of bitrix24-bridge', (key, text, expected) => {
    const env = { BRIDGE_CONTRACT: 'bitrix24-bridge', [FIELDS[key].env]: text }
    expect(read(env).config?.contract).toMatchObject(expected)
  })

  it.each([
    ['replyMode', 'reply_to', { replyMode: 'reply_to' }],
    ['strictOrder', 'true', { strictOrder: true }],
    ['replyQueue', 'back', { out: 'back' }],
    [
      'rest',
      'https://box.example//rest',
      { rest: { origin: 'https://box.example', domain: 'box.example', root: '/rest' } },
    ],
  ] as const)('%s is an option of rabbitmq-to-bitrix24', (key, text, expected) => {
    const env = {
      BRIDGE_CONTRACT: 'rabbitmq-to-bitrix24',
      BRIDGE_PORTAL: WEBHOOK,
      [FIELDS[key].env]: text,
    }
    expect(read(env).config?.contract).toMatchObject(expected)
  })

  it('has a flag and a variable of its own', () => {
    const names = SETTINGS.flatMap((field) => [field.env, field.flag.split(' ')[0]])
    expect(new Set(names).size).toBe(names.length)
  })

  it.each(
    SETTINGS.filter((field) => field.default !== undefined).map((field) => [field.key, field] as const),
  )('%s has a default that its own kind accepts', (_key, field) => {
    for (const text of [field.default, ...Object.values('defaultFor' in field ? field.defaultFor : {})])
      expect(field.kind.parse(text as string)).toHaveProperty('value')
  })
})

describe('precedence', () => {
  it('takes the flag before the environment before .env before the default', () => {
    const cwd = folder({ '.env': 'BRIDGE_PREFETCH=3\nBRIDGE_MAX_IN_FLIGHT=4\nBRIDGE_LOG_LEVEL=warn\n' })
    const { config, settings } = readSettings({
      env: { BRIDGE_PREFETCH: '2', BRIDGE_MAX_IN_FLIGHT: '3' },
      flags: { prefetch: '1' },
      cwd,
    })
    expect([config?.prefetch, config?.maxInFlight, config?.log.level]).toEqual([1, 3, 'warn'])
    const sources = Object.fromEntries(settings.map((setting) => [setting.key, setting.source]))
    expect(sources.prefetch).toBe('flag --prefetch')
    expect(sources.maxInFlight).toBe('environment BRIDGE_MAX_IN_FLIGHT')
    expect(sources.logLevel).toBe('.env BRIDGE_LOG_LEVEL')
    expect(sources.store).toBe('default')
  })

  it('takes an empty variable for one that is not set', () => {
    const cwd = folder({ '.env': 'BRIDGE_PREFETCH=3' })
    expect(readConfig({ env: { BRIDGE_PREFETCH: '' }, cwd }).prefetch).toBe(3)
  })

  it('reads another file with --env-file, which must exist', () => {
    const cwd = folder({ '.env': 'BRIDGE_PREFETCH=3', 'other.env': 'BRIDGE_PREFETCH=4' })
    expect(readConfig({ env: {}, cwd, envFile: 'other.env' }).prefetch).toBe(4)
    expect(readSettings({ env: {}, cwd, envFile: 'none.env' }).faults).toEqual([
      'The file none.env cannot be read; check the name given with --env-file.',
    ])
  })
})

describe('settings in files', () => {
  it('are read where NAME_FILE says, without the space around them', () => {
    const cwd = folder({
      'prefetch.txt': ' 7\n',
      '.env': 'BRIDGE_MAX_IN_FLIGHT_FILE=flight.txt',
      'flight.txt': '6',
    })
    const { config, settings } = readSettings({ env: { BRIDGE_PREFETCH_FILE: 'prefetch.txt' }, cwd })
    expect([config?.prefetch, config?.maxInFlight]).toEqual([7, 6])
    expect(settings.find(({ key }) => key === 'prefetch')?.source).toBe('file prefetch.txt, BRIDGE_PREFETCH')
  })

  it('count as the variable does that names them', () => {
    const cwd = folder({ '.env': 'BRIDGE_PREFETCH=3', 'prefetch.txt': '7' })
    expect(readConfig({ env: { BRIDGE_PREFETCH_FILE: 'prefetch.txt' }, cwd }).prefetch).toBe(7)
    const { faults } = readSettings({
      env: { BRIDGE_PREFETCH_FILE: 'prefetch.txt', BRIDGE_PREFETCH: '1' },
      cwd,
    })
    expect(faults).toEqual([
      'BRIDGE_PREFETCH and BRIDGE_PREFETCH_FILE (environment) are both set; remove one of them.',
    ])
  })

  it('must be there and must not be empty', () => {
    const cwd = folder({ 'empty.txt': '\n' })
    const env = { BRIDGE_ADMIN_TOKEN_FILE: 'none.txt', BRIDGE_SECRET_KEY_FILE: 'empty.txt' }
    expect(readSettings({ env, cwd }).faults).toEqual([
      'BRIDGE_ADMIN_TOKEN_FILE (environment) names none.txt, which cannot be read; check the path and its rights.',
      'BRIDGE_SECRET_KEY_FILE (environment) names empty.txt, which is empty.',
    ])
    expect(readSettings({ env: { BRIDGE_NONE_FILE: 'x' }, cwd }).faults[0]).toContain('is not a setting')
  })

  it('are taken from the credentials of systemd, after the environment and before .env', () => {
    const cwd = folder({
      '.env': 'BRIDGE_PREFETCH=3\nBRIDGE_MAX_IN_FLIGHT=4',
      BRIDGE_PREFETCH: '7\n',
      BRIDGE_MAX_IN_FLIGHT: '8',
    })
    const env = { CREDENTIALS_DIRECTORY: cwd, BRIDGE_MAX_IN_FLIGHT: '5' }
    const { config } = readSettings({ env, cwd })
    expect([config?.prefetch, config?.maxInFlight]).toEqual([7, 5])
  })
})

describe('faults', () => {
  it('lists all of them at once, each naming the setting and what to do', () => {
    const env = {
      BRIDGE_BROKER: 'http://mq',
      BRIDGE_LIMITS: 'fast',
      BRIDGE_HTTP: 'localhost',
      BRIDGE_PREFETCH: '0',
      BRIDGE_PORTAL: 'https://example.bitrix24.com/',
    }
    let error: unknown
    try {
      readConfig({ env, cwd: EMPTY })
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(ConfigError)
    const { faults } = error as ConfigError
    expect(faults).toHaveLength(5)
    for (const name of Object.keys(env))
      expect(faults.some((fault) => fault.startsWith(name) && fault.includes('must be'))).toBe(true)
  })

  it.each([
    ['BRIDGE_BROKR', 'BRIDGE_BROKER'],
    ['BRIDGE_COMMANDS_QUEUE', 'BRIDGE_COMMAND_QUEUE'],
    ['BRIDGE_LIMIT', 'BRIDGE_LIMITS'],
    ['BRIDGE_ADMINTOKEN', 'BRIDGE_ADMIN_TOKEN'],
  ])('asks whether %s means %s', (wrong, right) => {
    expect(read({ [wrong]: 'x' }).faults).toEqual([
      `${wrong} (environment) is not a setting; did you mean ${right}?`,
    ])
  })

  it('leaves the variables alone that Kubernetes makes for a service called bridge', () => {
    const env = {
      BRIDGE_SERVICE_HOST: '10.0.0.1',
      BRIDGE_SERVICE_PORT: '8000',
      BRIDGE_PORT: 'tcp://10.0.0.1:8000',
      BRIDGE_PORT_8000_TCP_ADDR: '10.0.0.1',
    }
    expect(read(env).faults).toEqual([])
  })

  it('never repeats a secret', () => {
    const { faults } = read({
      BRIDGE_BROKER: 'amqp//me:topsecret123@mq',
      BRIDGE_PORTAL: 'https://example.bitrix24.com/rest/x/topsecret123/',
      BRIDGE_ADMIN_TOKEN: 'topsecret123 and more',
      BRIDGE_REST: WEBHOOK,
      BRIDGE_STORE: 'oracle://me:topsecret123@db/x',
    })
    expect(faults).toHaveLength(5)
    expect(faults.join()).not.toContain('topsecret123')
  })

  it('refuses one name for commands and replies', () => {
    const { faults } = read({ BRIDGE_COMMAND_QUEUE: 'x', BRIDGE_REPLY_QUEUE: 'x' })
    expect(faults).toEqual([
      'BRIDGE_COMMAND_QUEUE and BRIDGE_REPLY_QUEUE are both "x"; replies need a name of their own.',
    ])
  })

  it('gives load balancers time to look elsewhere where there may be any', () => {
    const grace = (BRIDGE_HTTP: string, more = {}) =>
      readConfig({ env: { BRIDGE_HTTP, ...more }, cwd: folder({}) }).drainGraceMs
    expect([grace('127.0.0.1:0'), grace('0.0.0.0:0')]).toEqual([0, 5000])
    expect(grace('0.0.0.0:0', { BRIDGE_DRAIN_GRACE: '0' })).toBe(0)
  })

  it('misses the portal only when it is needed', () => {
    expect(read({}).faults).toEqual([])
    expect(read({}, { needs: ['portal'] }).faults[0]).toMatch(/^BRIDGE_PORTAL is not set; give it/)
  })

  it('says what is wrong with the file of a certificate authority', () => {
    const cwd = folder({ 'ca.pem': '-----BEGIN CERTIFICATE-----\nAA\n', 'key.txt': 'nothing' })
    expect(readConfig({ env: { BRIDGE_TLS_CA: 'ca.pem' }, cwd }).tlsCa?.pem).toContain('BEGIN CERTIFICATE')
    expect(readSettings({ env: { BRIDGE_TLS_CA: 'key.txt' }, cwd }).faults[0]).toMatch(/no PEM certificate/)
    expect(readSettings({ env: { BRIDGE_TLS_CA: 'none' }, cwd }).faults[0]).toMatch(/cannot be read/)
  })
})

describe('shown values', () => {
  it('mask every secret', () => {
    const { settings } = read({
      BRIDGE_BROKER: 'amqps://me:topsecret123@mq.example/v?key=topsecret123',
      BRIDGE_PORTAL: WEBHOOK,
      BRIDGE_ADMIN_TOKEN: 'topsecret123topsecret123',
    })
    const shown = Object.fromEntries(settings.map((setting) => [setting.key, setting.text]))
    expect(shown.broker).toBe('amqps://me:•••@mq.example/v?•••')
    expect(shown.portal).toBe('https://example.bitrix24.com/rest/1/•••/')
    expect(shown.adminToken).toBe('set')
    expect(read({ BRIDGE_ADMIN_TOKEN: 'short' }).notes.join()).toMatch(/BRIDGE_ADMIN_TOKEN is short/)
    expect(read({}).settings.find((setting) => setting.key === 'adminToken')?.text).toBe('not set')
  })
})
