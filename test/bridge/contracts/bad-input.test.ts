import { describe, expect, test } from 'vitest'
import { createBitrix24BridgeContract } from '../../../src/bridge/contracts/bitrix24-bridge.ts'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { createRabbitmqToBitrix24Contract } from '../../../src/bridge/contracts/rabbitmq-to-bitrix24.ts'
import type { Message } from '../../../src/brokers/broker.ts'
import { bodyOf, context, message, outcomeOf, refusal } from './support.ts'

const native = createNativeContract()
const bridge = createBitrix24BridgeContract()
const rabbitmq = createRabbitmqToBitrix24Contract({
  rest: { origin: 'https://example.bitrix24.com', domain: 'example.bitrix24.com', root: '/rest' },
})
const HOOK = { method: 'crm.lead.add', user: '1', token: 's3cret-code' }
const batchOf = (cmd: unknown): string =>
  JSON.stringify({ action: 'batch', method: 'batch', params: { cmd } })
const both = { native, bridge }

describe('a body that is no command', () => {
  const bodies: [string, Buffer | string, string, number][] = [
    ['empty', '', 'BODY_NOT_JSON', 400],
    ['only spaces', '  \n', 'BODY_NOT_JSON', 400],
    ['not JSON', "{'method': 'profile'}", 'BODY_NOT_JSON', 400],
    ['cut off', '{"method":"profile"', 'BODY_NOT_JSON', 400],
    ['two values', '{}{}', 'BODY_NOT_JSON', 400],
    ['an array', '[{"method":"profile"}]', 'BODY_NOT_OBJECT', 400],
    ['null', 'null', 'BODY_NOT_OBJECT', 400],
    ['a number', '42', 'BODY_NOT_OBJECT', 400],
    ['a text', '"profile"', 'BODY_NOT_OBJECT', 400],
    ['invalid UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x7d]), 'BODY_NOT_UTF8', 400],
    ['UTF-16', Buffer.from('\ufeff{"method":"profile"}', 'utf16le'), 'BODY_NOT_UTF8', 400],
    ['20 MB large', Buffer.alloc(20 * 1024 * 1024, 32), 'BODY_TOO_LARGE', 413],
    ['100,000 levels deep', `{"meta":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'BODY_TOO_DEEP', 400],
  ]
  for (const [name, contract] of Object.entries(both)) {
    test.each(bodies)(`${name} refuses a body that is %s`, (_, body, code, status) => {
      const bad = message(body)
      const error = refusal(contract, bad)
      expect(error).toMatchObject({ code, status })
      expect(error.hint).toBeTruthy()
      expect(JSON.stringify(bodyOf(contract.reply(bad, undefined, outcomeOf(error), context)))).toContain(
        code,
      )
    })
  }

  test('the bound on bytes is a setting', () => {
    const small = createNativeContract({ maxBodyBytes: 10 })
    expect(refusal(small, message({ method: 'profile' }))).toMatchObject({
      code: 'BODY_TOO_LARGE',
      status: 413,
    })
    expect(createNativeContract({ maxBodyBytes: 20 }).parse(message({ method: 'profile' }))).toBeDefined()
  })

  test('the place of a fault is told, the text around it is not', () => {
    const error = refusal(native, message('{"method":"profile","token":"s3cret",}'))
    expect(error.message).toBe('The body is not JSON: it breaks off at character 37.')
    expect(JSON.stringify([error.message, error.hint])).not.toContain('s3cret')
  })

  test('a byte order mark in front is no fault', () => {
    expect(native.parse(message('\ufeff{"method":"profile"}'))).toMatchObject({ method: 'profile' })
    expect(bridge.parse(message('\ufeff{"method":"profile"}'))).toMatchObject({ method: 'profile' })
  })
})

describe('a method that is none', () => {
  test.each([
    ['missing', {}, 'METHOD_MISSING'],
    ['null', { method: null }, 'METHOD_MISSING'],
    ['empty', { method: '' }, 'METHOD_MISSING'],
    ['with a space', { method: 'crm.deal .get' }, 'METHOD_INVALID'],
    ['with a slash', { method: 'crm/deal/get' }, 'METHOD_INVALID'],
    ['with two dots', { method: 'crm..deal' }, 'METHOD_INVALID'],
    ['climbing up', { method: '../1/secret/profile' }, 'METHOD_INVALID'],
    ['with a query', { method: 'crm.deal.get?id=1' }, 'METHOD_INVALID'],
    ['with a line break', { method: 'profile\n' }, 'METHOD_INVALID'],
    ['a number', { method: 5 }, 'METHOD_INVALID'],
    ['an object', { method: { name: 'profile' } }, 'METHOD_INVALID'],
  ])('both JSON contracts refuse one that is %s', (_, body, code) => {
    expect(refusal(native, message(body))).toMatchObject({ code, status: 400 })
    expect(refusal(bridge, message(body))).toMatchObject({ code, status: 400 })
  })

  test('a long name is not repeated', () => {
    const error = refusal(native, message({ method: `${'x'.repeat(300)}` }))
    expect(error.code).toBe('METHOD_INVALID')
    expect(error.message.length).toBeLessThan(200)
  })
})

describe('a batch that is none', () => {
  const cases: [string, unknown, string, string][] = [
    ['without cmd', undefined, 'CMD_MISSING', 'params.cmd'],
    ['with cmd null', null, 'CMD_MISSING', 'params.cmd'],
    ['with cmd as text', 'crm.deal.get?id=1', 'CMD_INVALID', 'a string'],
    ['with a number for a command', { a: 5 }, 'CMD_INVALID', '"a" is a number'],
    ['with null for a command', { a: null }, 'CMD_INVALID', '"a" is null'],
    ['with an empty array for a command', { a: [] }, 'CMD_INVALID', '"a" is an array'],
    ['with a command of three parts', { a: ['profile', {}, {}] }, 'CMD_INVALID', '"a" is an array'],
    ['with a command without method', { a: { params: {} } }, 'METHOD_INVALID', '"a" has no method'],
    ['with an empty command', { a: '' }, 'METHOD_INVALID', '"a" has no method'],
    ['with a slash before a method', { a: '/profile' }, 'METHOD_INVALID', '"a" has a method name'],
    ['with text for params', { a: { method: 'profile', params: 'id=1' } }, 'CMD_INVALID', '"a" are a string'],
    [
      'with a batch inside',
      { a: { method: 'batch', params: { cmd: {} } } },
      'ERROR_BATCH_METHOD_NOT_ALLOWED',
      '"a" calls batch',
    ],
    [
      'with a batch inside, as text',
      { a: 'BATCH?cmd[0]=profile' },
      'ERROR_BATCH_METHOD_NOT_ALLOWED',
      '"a" calls BATCH',
    ],
    [
      'with a reference to nobody',
      { a: 'profile', b: 'user.get?ID=$result[ghost][ID]' },
      'REFERENCE_UNKNOWN',
      '"ghost" is not a command',
    ],
    [
      'with an encoded reference to nobody',
      { b: 'user.get?ID=%24result%5Bghost%5D%5BID%5D' },
      'REFERENCE_UNKNOWN',
      '$result[ghost]',
    ],
    [
      'with a reference to a later command',
      { b: ['user.get', { ID: '$result[c]' }], c: 'profile' },
      'REFERENCE_UNKNOWN',
      '"c" does not stand before it',
    ],
    [
      'with a reference to itself',
      { b: { method: 'user.get', params: { ID: ['$result[b]'] } } },
      'REFERENCE_UNKNOWN',
      '"b" refers to $result[b]',
    ],
  ]
  for (const [name, contract] of Object.entries(both)) {
    test.each(cases)(`${name} refuses one %s`, (_, cmd, code, words) => {
      const error = refusal(contract, message(batchOf(cmd)))
      expect(error).toMatchObject({ code, status: 400 })
      expect(error.message).toContain(words)
      expect(error.hint).toBeTruthy()
    })

    test.each([1, 50, 51, 2600])(`${name} takes one of %i commands`, (count) => {
      const cmd = Object.fromEntries(
        Array.from({ length: count }, (_, i) => [`c${i}`, `crm.deal.get?id=${i}`]),
      )
      expect(contract.parse(message(batchOf(cmd)))).toMatchObject({
        action: 'batch',
        entries: { length: count },
      })
    })

    test(`${name} takes references to earlier commands, raw and encoded`, () => {
      const cmd = {
        me: 'user.current',
        boss: 'department.get?ID=$result[me][UF_DEPARTMENT][0]',
        again: 'department.get?ID=%24result%5Bme%5D%5BUF_DEPARTMENT%5D%5B0%5D',
        third: ['crm.deal.add', { fields: { TITLE: 'Deal of $result[me][NAME] $total[boss]' } }],
        price: 'crm.deal.add?fields[TITLE]=100 $ result',
        broken: 'crm.deal.add?fields[TITLE]=%E0%A4%A&x=%24result%5Bme%5D',
      }
      expect(contract.parse(message(batchOf(cmd)))).toMatchObject({ entries: { length: 6 } })
    })
  }
})

describe('headers of another type', () => {
  const cases: [string, Message['headers'], string][] = [
    ['without method', { user: '1', token: 'abc' }, 'The header method is missing.'],
    ['with an empty method', { ...HOOK, method: '' }, 'The header method is missing.'],
    ['with a method that is a number', { ...HOOK, method: 1.5 }, 'The header method is not text.'],
    ['with a method that is a table', { ...HOOK, method: { a: 1 } }, 'The header method is not text.'],
    ['with a method that climbs up', { ...HOOK, method: '../../x' }, 'The header method has characters'],
    ['without user', { method: 'profile', token: 'abc' }, 'The header user is missing.'],
    ['without token', { method: 'profile', user: '1' }, 'The header token is missing.'],
    ['with a user that is no number', { ...HOOK, user: 'admin' }, 'The header user is not a number.'],
    ['with a user that is a boolean', { ...HOOK, user: true }, 'The header user is not text.'],
    ['with a slash in the token', { ...HOOK, token: 'abc/../x' }, 'The header token is not a webhook code.'],
    ['with a token that is bytes', { ...HOOK, token: Buffer.from('abc') }, 'The header token is not text.'],
    ['with a portal and a webhook', { ...HOOK, 'x-b24-portal': 'main' }, 'name a portal and a webhook'],
  ]
  test.each(cases)('rabbitmq-to-bitrix24 refuses a message %s', (_, headers, words) => {
    const bad = message('{}', { headers, messageId: 'm1' })
    const error = refusal(rabbitmq, bad)
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', status: 400 })
    expect(error.message).toContain(words)
    const reply = rabbitmq.reply(bad, undefined, outcomeOf(error), context)
    expect(bodyOf(reply)).toEqual({ error: 'INVALID_REQUEST', error_description: error.message })
    expect(reply.messageId).toBe('m1')
  })

  test.each([
    ['x-b24-priority', 'high'],
    ['x-b24-priority', true],
    ['x-b24-order-key', ['a']],
    ['x-b24-portal', { a: 1 }],
  ])('all contracts refuse the header %s with %j', (name, value) => {
    const headers = { [name]: value } as Message['headers']
    for (const contract of [native, bridge]) {
      expect(refusal(contract, message({ method: 'profile' }, { headers })).code).toBe('HEADER_INVALID')
    }
    expect(refusal(rabbitmq, message('{}', { headers: { method: 'profile', ...headers } })).code).toBe(
      'HEADER_INVALID',
    )
  })

  test.each([
    ['a text', '"id=1"'],
    ['a number', '1'],
    ['true', 'true'],
  ])('rabbitmq-to-bitrix24 refuses a body that is %s', (_, body) => {
    expect(refusal(rabbitmq, message(body, { headers: HOOK })).code).toBe('INVALID_REQUEST')
  })

  test('rabbitmq-to-bitrix24 refuses bodies that are not JSON, not UTF-8, too large', () => {
    expect(refusal(rabbitmq, message('id=1', { headers: HOOK })).code).toBe('BODY_NOT_JSON')
    expect(refusal(rabbitmq, message(Buffer.from([0xff]), { headers: HOOK })).code).toBe('BODY_NOT_UTF8')
    const large = message(Buffer.alloc(20 * 1024 * 1024, 32), { headers: HOOK })
    expect(refusal(rabbitmq, large)).toMatchObject({ code: 'BODY_TOO_LARGE', status: 413 })
  })
})
