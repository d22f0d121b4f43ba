import { describe, expect, test } from 'vitest'
import { createNativeContract } from '../../../src/bridge/contracts/native.ts'
import { nativeReplySchema } from '../../../src/bridge/contracts/native-schema.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { answered, bodyOf, chunk, context, message, outcomeOf, refusal } from './support.ts'

const native = createNativeContract()

describe('reading a native command', () => {
  test('a method alone is a call without parameters', () => {
    expect(native.parse(message({ method: 'profile' }))).toEqual({
      action: 'call',
      method: 'profile',
      params: {},
      meta: {},
    })
  })

  test('every key arrives', () => {
    const body = {
      portal: 'main',
      action: 'call',
      method: 'crm.deal.get',
      params: { id: 7 },
      meta: [1, 'a'],
      priority: 'urgent',
      orderKey: 'deal-7',
      deadlineMs: 5000,
    }
    expect(native.parse(message(body))).toEqual(body)
  })

  test('null is the same as left out', () => {
    const body = {
      portal: null,
      action: null,
      method: 'profile',
      params: null,
      meta: null,
      priority: null,
      orderKey: null,
      deadlineMs: null,
    }
    expect(native.parse(message(body))).toEqual({ action: 'call', method: 'profile', params: {}, meta: {} })
  })

  test('headers and properties fill what the body leaves out, and never overrule it', () => {
    const properties = {
      headers: { 'x-b24-portal': 'other', 'x-b24-priority': 'bulk', 'x-b24-order-key': 17 },
      expiration: '60000',
    }
    expect(native.parse(message({ method: 'profile' }, properties))).toMatchObject({
      portal: 'other',
      priority: 'bulk',
      orderKey: '17',
      deadlineMs: 60000,
    })
    const body = { method: 'profile', portal: 'main', priority: 'urgent', orderKey: 'k', deadlineMs: 5 }
    expect(native.parse(message(body, properties))).toMatchObject(body)
  })

  test('an expiration of 0 or of nothing sets no deadline, one that is no number is an error', () => {
    expect(native.parse(message({ method: 'profile' }, { expiration: '0' }))).not.toHaveProperty('deadlineMs')
    expect(native.parse(message({ method: 'profile' }, { expiration: '' }))).not.toHaveProperty('deadlineMs')
    expect(refusal(native, message({ method: 'profile' }, { expiration: '1 min' })).code).toBe(
      'HEADER_INVALID',
    )
  })

  test('positional parameters stay an array', () => {
    const command = native.parse(
      message({ method: 'task.commentitem.add', params: [1, { POST_MESSAGE: 'hi' }] }),
    )
    expect(command).toMatchObject({ action: 'call', params: [1, { POST_MESSAGE: 'hi' }] })
  })

  test('the method batch is the action batch when no action is given', () => {
    const command = native.parse(message({ method: 'batch', params: { cmd: { me: 'profile' }, halt: 1 } }))
    expect(command).toMatchObject({
      action: 'batch',
      method: 'batch',
      halt: true,
      entries: [{ name: 'me', method: 'profile', params: '' }],
    })
    expect(native.parse(message({ action: 'batch', params: { cmd: ['profile'] } }))).toMatchObject({
      method: 'batch',
    })
    expect(refusal(native, message({ action: 'call', method: 'batch', params: { cmd: {} } })).code).toBe(
      'ACTION_INVALID',
    )
  })

  test('three forms of a command in a batch', () => {
    const cmd = {
      text: 'crm.deal.get?id=7&x=a?b',
      pair: ['crm.deal.get', { id: 7 }],
      alone: ['profile'],
      object: { method: 'crm.deal.get', params: { id: 7 } },
      bare: { method: 'profile' },
    }
    expect(native.parse(message({ action: 'batch', params: { cmd } }))).toMatchObject({
      halt: false,
      entries: [
        { name: 'text', method: 'crm.deal.get', params: 'id=7&x=a?b' },
        { name: 'pair', method: 'crm.deal.get', params: { id: 7 } },
        { name: 'alone', method: 'profile', params: {} },
        { name: 'object', method: 'crm.deal.get', params: { id: 7 } },
        { name: 'bare', method: 'profile', params: {} },
      ],
    })
  })

  test('names that look like numbers keep the order in which they are written', () => {
    const text =
      '{"action":"batch","params":{"halt":0,"cmd":{"10":"profile","2":"app.info","b":"scope","0":"methods"}}}'
    const command = native.parse(message(text))
    expect(command.action === 'batch' && command.entries.map((entry) => entry.name)).toEqual([
      '10',
      '2',
      'b',
      '0',
    ])
  })

  test('numbers with more digits than a double holds become their text', () => {
    const text =
      '{"method":"crm.deal.add","params":{"fields":{"ACCOUNT":40817810099910004312,"SUM":1234.5,"T":"1234567890123456789012"}}}'
    expect(native.parse(message(text))).toMatchObject({
      params: { fields: { ACCOUNT: '40817810099910004312', SUM: 1234.5, T: '1234567890123456789012' } },
    })
  })

  test.each([
    [{ method: 'profile', paramz: {} }, 'KEY_UNKNOWN', 'Did you mean "params"?'],
    [{ method: 'profile', order_key: 'a' }, 'KEY_UNKNOWN', 'Did you mean "orderKey"?'],
    [{ method: 'profile', deadline: 5 }, 'KEY_UNKNOWN', 'The keys are portal, action'],
    [{ method: 'profile', Method: 'profile' }, 'KEY_UNKNOWN', 'Did you mean "method"?'],
    [{ method: 'profile', as: 'user' }, 'FIELD_INVALID', 'default'],
    [{ method: 'profile', as: 0 }, 'FIELD_INVALID', 'default'],
    [{ method: 'profile', application: '' }, 'FIELD_INVALID', 'default'],
    [{ method: 'profile', action: 'default' }, 'ACTION_UNKNOWN', 'null'],
    [{ method: 'profile', action: 5 }, 'ACTION_UNKNOWN', 'null'],
    [{ method: 'profile', params: 'id=1' }, 'PARAMS_INVALID', 'null'],
    [{ method: 'profile', params: 5 }, 'PARAMS_INVALID', 'null'],
    [{ action: 'list', method: 'crm.deal.list', params: [1] }, 'PARAMS_INVALID', 'position'],
    [{ action: 'batch', params: { cmd: {} } }, 'CMD_EMPTY', 'params.cmd'],
    [{ action: 'batch', params: { cmd: [] } }, 'CMD_EMPTY', 'params.cmd'],
    [{ action: 'batch', params: { cmd: { a: 'profile' }, halt: 'maybe' } }, 'PARAMS_INVALID', 'false'],
    [{ method: 'crm.deal.add', verify: 'title' }, 'VERIFY_INVALID', 'null'],
    [{ method: 'crm.deal.get', verify: 'origin' }, 'VERIFY_INVALID', 'repeated anyway'],
    [{ method: 'crm.deal.add', verify: { method: 'crm.deal.add' } }, 'VERIFY_INVALID', 'list method'],
    [
      { action: 'batch', verify: 'origin', params: { cmd: { a: 'profile' } } },
      'VERIFY_INVALID',
      'one by one',
    ],
    [{ method: 'profile', api: 'v4' }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', reply: true }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', reply: { exchange: 'x' } }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', portal: 5 }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', priority: 'high' }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', priority: 1 }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', orderKey: 7 }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', deadlineMs: 0 }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', deadlineMs: 1.5 }, 'FIELD_INVALID', 'null'],
    [{ method: 'profile', deadlineMs: '5' }, 'FIELD_INVALID', 'null'],
  ])('%j is refused with %s and a hint', (body, code, hint) => {
    const error = refusal(native, message(body))
    expect(error).toMatchObject({ code, status: 400 })
    expect(error.hint).toContain(hint)
  })

  test('a key that would reach the prototype of objects is an unknown key like any other', () => {
    expect(refusal(native, message('{"method":"profile","__proto__":{"portal":"x"}}')).code).toBe(
      'KEY_UNKNOWN',
    )
  })

  test('a sentence names the key and what was found', () => {
    expect(refusal(native, message({ method: 'profile', params: 5 })).message).toBe(
      '"params" must be an object, or an array for methods that take parameters by position, not a number.',
    )
    expect(refusal(native, message({ method: 'profile', priority: 'high' })).message).toBe(
      '"priority" must be urgent, normal or bulk.',
    )
  })
})

describe('writing a native reply', () => {
  const asked = message(
    { method: 'crm.deal.list', params: {}, meta: { order: 4711 } },
    { messageId: 'm1', headers: { traceparent: '00-a-b-01' } },
  )
  const command = native.parse(asked)
  const time = { start: 1.5, finish: 2.5, operating: 0.1 }

  test('a call: the result, its counters and times', () => {
    const outcome = answered({ result: [{ ID: '1' }], next: 50, total: 51, time })
    const reply = native.reply(asked, command, outcome, context)
    expect(reply.body.toString()).toBe(
      '{"portal":"example.bitrix24.com","action":"call","method":"crm.deal.list","outcome":"done","status_code":200,' +
        '"result":[{"ID":"1"}],"next":50,"total":51,"time":{"start":1.5,"finish":2.5,"operating":0.1},"attempts":1,' +
        '"meta":{"order":4711}}',
    )
    const { body: _, ...properties } = reply
    expect(properties).toEqual({
      headers: { 'x-b24-outcome': 'done', 'x-b24-attempts': 1, traceparent: '00-a-b-01' },
      messageId: 'new-id',
      correlationId: 'm1',
      contentType: 'application/json',
      timestamp: 1_763_769_600,
      appId: 'bitrix24-bridge',
      persistent: true,
    })
  })

  test('the correlation id is that of the command, or else its message id, or none', () => {
    const outcome = answered({ result: true })
    const withBoth = { ...asked, correlationId: 'c1' }
    expect(native.reply(withBoth, command, outcome, context).correlationId).toBe('c1')
    expect(native.reply(message({ method: 'profile' }), command, outcome, context)).not.toHaveProperty(
      'correlationId',
    )
  })

  test('a refusal: the reason, and no result', () => {
    const outcome = answered({ error: 'NOT_FOUND', error_description: 'Deal is not found' }, { status: 400 })
    expect(bodyOf(native.reply(asked, command, outcome, context))).toMatchObject({
      outcome: 'failed',
      status_code: 400,
      result: null,
      error: { code: 'NOT_FOUND', description: 'Deal is not found', retryable: false },
    })
  })

  test('nobody can tell: the outcome is unknown and says what to do', () => {
    const outcome: Outcome = {
      kind: 'unknown',
      status: 504,
      attempts: 1,
      failure: {
        code: 'UNCERTAIN',
        description: 'The connection broke.',
        retryable: false,
        hint: 'Look it up.',
      },
    }
    const reply = native.reply(asked, command, outcome, context)
    expect(reply.headers['x-b24-outcome']).toBe('unknown')
    expect(bodyOf(reply)).toMatchObject({
      outcome: 'unknown',
      status_code: 504,
      result: null,
      time: null,
      error: {
        code: 'UNCERTAIN',
        description: 'The connection broke.',
        retryable: false,
        hint: 'Look it up.',
      },
    })
  })

  test('a list: all rows, the total, and what is missing only when something is', () => {
    const rows = [{ ID: '1' }, { ID: '2' }]
    const whole: Outcome = {
      kind: 'done',
      status: 200,
      attempts: 1,
      result: { action: 'list', rows, total: 2, status: 200, missing: [] },
    }
    const listed = bodyOf(native.reply(asked, command, whole, context))
    expect(listed).toMatchObject({ result: rows, total: 2, next: null })
    expect(listed).not.toHaveProperty('missing')
    const missing = [{ page: 'start=50', code: 'ERROR_CORE', description: 'no' }]
    const gap: Outcome = {
      ...whole,
      kind: 'failed',
      result: { action: 'list', rows, total: 60, status: 500, missing },
      failure: { code: 'ERROR_CORE', description: 'no', retryable: false },
    }
    expect(bodyOf(native.reply(asked, command, gap, context))).toMatchObject({
      result: rows,
      total: 60,
      missing,
    })
  })

  test('a batch: one map each for results, errors, totals and nexts, over all requests', () => {
    const error = { error: 'ACCESS_DENIED', error_description: 'no' }
    const chunks = [
      chunk(['a', 'b'], { result: { a: 1 }, result_error: { b: error } }),
      chunk(['l', '__proto__'], {
        result: { l: [1], ['__proto__']: 'p' },
        result_total: { l: 51 },
        result_next: { l: 50 },
      }),
    ]
    const outcome: Outcome = { kind: 'done', status: 200, attempts: 2, result: { action: 'batch', chunks } }
    const reply = native.reply(asked, command, outcome, context)
    expect(bodyOf(reply)).toMatchObject({
      errors: { b: error },
      totals: { l: 51 },
      nexts: { l: 50 },
      time: { start: 1, finish: 2 },
      next: null,
      total: null,
    })
    expect(reply.body.toString()).toContain('"result":{"a":1,"l":[1],"__proto__":"p"}')
  })

  test('meta comes back digit for digit', () => {
    const text = '\ufeff{ "method": "profile", "meta": { "id": 12345678901234567890, "a": [1.50, "x"] } }'
    const reply = native.reply(message(text), native.parse(message(text)), answered({ result: 1 }), context)
    expect(reply.body.toString()).toMatch(/"meta":\{"id":12345678901234567890,"a":\[1\.50,"x"\]\}\}$/)
    for (const meta of [0, false, '', 'text', [], [1], { a: null }]) {
      const sent = message({ method: 'profile', meta })
      expect(bodyOf(native.reply(sent, native.parse(sent), answered({ result: 1 }), context)).meta).toEqual(
        meta,
      )
    }
  })

  test('a message that is no command gets a reply with what can be read of it', () => {
    const bad = message({ action: 'list', method: 'crm.deal.list', portal: 'main', meta: { k: 1 }, limit: 5 })
    const { portal: _, ...nowhere } = context
    const reply = bodyOf(native.reply(bad, undefined, outcomeOf(refusal(native, bad)), nowhere))
    expect(reply).toMatchObject({
      portal: 'main',
      action: 'list',
      method: 'crm.deal.list',
      outcome: 'failed',
      status_code: 400,
      meta: { k: 1 },
      error: { code: 'KEY_UNKNOWN' },
    })
    expect(nativeReplySchema.safeParse(reply).success).toBe(true)
  })
})
