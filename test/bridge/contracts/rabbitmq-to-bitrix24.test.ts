import { describe, expect, test } from 'vitest'
import {
  createRabbitmqToBitrix24Contract,
  parseRestRoot,
} from '../../../src/bridge/contracts/rabbitmq-to-bitrix24.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { answered, context, message, refusal } from './support.ts'

const rest = { origin: 'https://example.bitrix24.com', domain: 'example.bitrix24.com', root: '/rest' }
const contract = createRabbitmqToBitrix24Contract({ rest })
const headers = { method: 'crm.lead.add', user: '1', token: 's3cret-code' }

describe('reading a request', () => {
  test('headers are method and webhook, the body is the parameters', () => {
    expect(
      contract.parse(message('{"fields":{"TITLE":"x"}}', { headers, contentType: 'text/json' })),
    ).toEqual({
      action: 'call',
      method: 'crm.lead.add',
      params: { fields: { TITLE: 'x' } },
      rawParams: '{"fields":{"TITLE":"x"}}',
      raw: true,
      meta: {},
      credential: { ...rest, userId: '1', secret: 's3cret-code' },
    })
  })

  test('the body is forwarded byte for byte', () => {
    const body = ' {"2": 1.50,\n"1":12345678901234567890, "u":"\\u0416Ж"} '
    expect(contract.parse(message(body, { headers }))).toMatchObject({ rawParams: body })
  })

  test.each([
    ['', {}, '{}'],
    ['  ', {}, '{}'],
    ['null', {}, '{}'],
    ['[]', {}, '[]'],
    ['[1,{"a":2}]', [1, { a: 2 }], '[1,{"a":2}]'],
  ])('the body %j is the parameters %j', (body, params, rawParams) => {
    expect(contract.parse(message(body, { headers }))).toMatchObject({ params, rawParams })
  })

  test('a user that is a number is taken as well', () => {
    expect(contract.parse(message('{}', { headers: { ...headers, user: 17 } }))).toMatchObject({
      credential: { userId: '17' },
    })
  })

  test('a portal by name stands for user and token', () => {
    const command = contract.parse(message('{}', { headers: { method: 'profile', 'x-b24-portal': 'shop' } }))
    expect(command).toMatchObject({ portal: 'shop', method: 'profile' })
    expect(command).not.toHaveProperty('credential')
  })

  test('without B24REST only messages that name a portal are understood', () => {
    const bare = createRabbitmqToBitrix24Contract()
    expect(refusal(bare, message('{}', { headers }))).toMatchObject({ code: 'INVALID_REQUEST' })
    expect(
      bare.parse(message('{}', { headers: { method: 'profile', 'x-b24-portal': 'shop' } })),
    ).toBeDefined()
  })

  test('the token is in no error, whatever is wrong', () => {
    const token = 's3cret-code'
    for (const wrong of [
      { user: 'x' },
      { method: '' },
      { user: undefined },
      { token: `${token}/x` },
      { 'x-b24-portal': 'p' },
    ]) {
      const bad = message('[', { headers: { ...headers, ...wrong } as typeof headers })
      const error = refusal(contract, bad)
      expect(JSON.stringify([error.message, error.hint, error.context, error.stack])).not.toContain(token)
    }
  })
})

describe('B24REST', () => {
  test.each([
    'https://example.bitrix24.com/rest/',
    'https://example.bitrix24.com/rest',
    ' https://EXAMPLE.bitrix24.com//rest// ',
  ])('%j is the address of all webhooks of a portal', (text) => {
    expect(parseRestRoot(text)).toEqual(rest)
  })

  test('a port and a folder are part of it', () => {
    expect(parseRestRoot('http://b24.local:8080/portal/rest/')).toEqual({
      origin: 'http://b24.local:8080',
      domain: 'b24.local:8080',
      root: '/portal/rest',
    })
  })

  test.each([
    '',
    'example.bitrix24.com/rest/',
    'ftp://x/rest/',
    'https://x/',
    'https://x/rest/1/secret/',
    'https://u:p@x/rest/',
  ])('%j is none', (text) => {
    expect(parseRestRoot(text)).toBeUndefined()
  })
})

describe('writing a reply', () => {
  const sent = message('{}', { headers, messageId: 'm1', correlationId: 'c1', replyTo: 'q' })

  test('is the answer of the portal byte for byte, with the message id of the request', () => {
    const raw = '{"result":{"2":1.50,"1":12345678901234567890},"time":{"start":1}}\n'
    const reply = contract.reply(sent, contract.parse(sent), answered({ result: 1 }, { raw }), context)
    expect(reply).toEqual({
      body: Buffer.from(raw),
      headers: { 'x-b24-status': 200, 'x-b24-method': 'crm.lead.add' },
      messageId: 'm1',
      correlationId: 'c1',
      contentType: 'text/json',
      timestamp: 1_763_769_600,
      appId: 'bitrix24-bridge',
      persistent: true,
    })
  })

  test('is the error of the portal byte for byte', () => {
    const raw = '{"error":"NOT_FOUND","error_description":""}'
    const outcome = answered({ error: 'NOT_FOUND', error_description: '' }, { status: 400, raw })
    const reply = contract.reply(sent, contract.parse(sent), outcome, context)
    expect(reply.body.toString()).toBe(raw)
    expect(reply.headers['x-b24-status']).toBe(400)
  })

  test('a request without ids gets a reply without ids', () => {
    const bare = message('{}', { headers })
    const reply = contract.reply(bare, contract.parse(bare), answered({ result: 1 }), context)
    expect(reply).not.toHaveProperty('messageId')
    expect(reply).not.toHaveProperty('correlationId')
  })

  test('our own errors have the shape of the portal, and never the token', () => {
    const failure = { code: 'TIMEOUT', description: 'POST /rest/1/s3cret-code/ timed out', retryable: false }
    const outcome: Outcome = { kind: 'unknown', status: 504, attempts: 1, failure }
    const reply = contract.reply(sent, contract.parse(sent), outcome, context)
    expect(reply.body.toString()).toBe(
      '{"error":"TIMEOUT","error_description":"POST /rest/1/•••/ timed out"}',
    )
    expect(reply.headers['x-b24-status']).toBe(504)
    expect(JSON.stringify(reply)).not.toContain('s3cret-code')
  })
})
