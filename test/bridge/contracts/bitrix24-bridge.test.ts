import { describe, expect, test } from 'vitest'
import { createBitrix24BridgeContract } from '../../../src/bridge/contracts/bitrix24-bridge.ts'
import type { Message } from '../../../src/brokers/broker.ts'
import type { Json, JsonObject } from '../../../src/model/json.ts'
import type { Outcome } from '../../../src/model/outcome.ts'
import { answered, bodyOf, chunk, context, message, outcomeOf, refusal } from './support.ts'

const bridge = createBitrix24BridgeContract()
const strict = createBitrix24BridgeContract({ strict: true })
const KEYS = ['action', 'method', 'params', 'result', 'status_code', 'next', 'total', 'meta']

function wire(sent: Message, outcome: Outcome, contract = bridge): string {
  return contract.reply(sent, contract.parse(sent), outcome, context).body.toString()
}

function listed(
  rows: readonly JsonObject[],
  more: Partial<Outcome> & { status?: number; total?: number | null } = {},
): Outcome {
  const { status = 200, total = rows.length, ...rest } = more
  return {
    kind: 'done',
    status,
    attempts: 1,
    result: { action: 'list', rows, total, status, missing: [] },
    ...rest,
  }
}

describe('reading a command', () => {
  test('falsy parts get their defaults, and keys of no meaning are ignored', () => {
    for (const nothing of [null, 0, '', false, [], {}] as Json[]) {
      const sent = message({
        action: nothing,
        method: 'profile',
        params: nothing,
        meta: nothing,
        extra: 1,
        as: 2,
      })
      expect(bridge.parse(sent)).toEqual({
        action: 'call',
        method: 'profile',
        params: {},
        rawParams: '{}',
        raw: true,
        meta: {},
      })
    }
    expect(bridge.parse(message({ method: 'profile' }))).toMatchObject({
      action: 'call',
      params: {},
      meta: {},
    })
  })

  test('the content type is not looked at', () => {
    for (const contentType of ['application/json; charset=utf-8', 'text/plain', 'application/octet-stream']) {
      expect(bridge.parse(message({ method: 'profile' }, { contentType }))).toMatchObject({
        method: 'profile',
      })
    }
  })

  test.each([
    'default',
    'foo',
    'dispatch',
    'bx_client',
    '__init__',
    'Meta',
    'LIST',
    5,
    ['list'],
    { a: 1 },
  ] as Json[])('the action %j means a single call, and shows as default', (action) => {
    const sent = message({ action, method: 'profile' })
    expect(bridge.parse(sent).action).toBe('call')
    expect(wire(sent, answered({ result: 1 }))).toContain('"action":"default"')
  })

  test('parameters of a single call are kept byte for byte', () => {
    const sent = message(
      '{"method":"crm.deal.add","params":{"2":1.50,"1":12345678901234567890,"u":"\\u0416"}}',
    )
    expect(bridge.parse(sent)).toMatchObject({
      rawParams: '{"2":1.50,"1":12345678901234567890,"u":"\\u0416"}',
      params: { u: 'Ж' },
    })
    expect(bridge.parse(message({ method: 'task.item.add', params: [1, 2] }))).toMatchObject({
      params: [1, 2],
    })
  })

  test('a list loses start and gains select when it has none', () => {
    expect(
      bridge.parse(
        message({ action: 'list', method: 'crm.product.list', params: { start: 50, filter: { A: 1 } } }),
      ),
    ).toEqual({
      action: 'list',
      method: 'crm.product.list',
      params: { filter: { A: 1 }, select: ['*', 'PROPERTY_*'] },
      meta: {},
    })
    expect(
      bridge.parse(message({ action: 'list', method: 'x.list', params: { select: ['ID'] } })).params,
    ).toEqual({ select: ['ID'] })
  })

  test('params of the wrong type are refused', () => {
    for (const params of ['id=1', 5, true] as Json[]) {
      expect(refusal(bridge, message({ method: 'profile', params })).code).toBe('PARAMS_INVALID')
    }
    expect(refusal(bridge, message({ action: 'list', method: 'x.list', params: [1] })).code).toBe(
      'PARAMS_INVALID',
    )
  })

  test('the three forms of a batch command, in the order in which they stand', () => {
    const sent = message(
      '{"action":"batch","method":"batch","params":{"halt":1,"cmd":{"7":"crm.deal.get?id=5&a=%20b","3":["crm.deal.get",{"id":5}],"x":{"method":"profile"}}}}',
    )
    expect(bridge.parse(sent)).toEqual({
      action: 'batch',
      method: 'batch',
      meta: {},
      halt: true,
      params: { halt: 1 },
      entries: [
        { name: '7', method: 'crm.deal.get', params: 'id=5&a=%20b' },
        { name: '3', method: 'crm.deal.get', params: { id: 5 } },
        { name: 'x', method: 'profile', params: {} },
      ],
    })
  })

  test('strict: halt has no effect, and parameters become the raw query text of Python', () => {
    const cmd = {
      a: ['x.add', { f: { T: 'a b', L: [true, null], E: [] }, n: false }],
      b: ['x.add', ['p', 'q']],
      c: 'x.get?id=%31',
    }
    expect(
      strict.parse(message({ action: 'batch', method: 'batch', params: { cmd, halt: true } })),
    ).toMatchObject({
      halt: false,
      entries: [
        { params: 'f[T]=a b&f[L][0]=True&f[L][1]=None&&n=False' },
        { params: 'p&1=q' },
        { params: 'id=%31' },
      ],
    })
  })

  test('what the Django client sends is understood', () => {
    const nulls = { action: null, params: null, meta: null }
    for (const method of ['crm.product.types', 'crm.product.list']) {
      expect(bridge.parse(message({ ...nulls, method }))).toMatchObject({ action: 'call', method })
    }
    expect(
      bridge.parse(message({ ...nulls, method: 'crm.product.add', params: { fields: { NAME: 'x' } } })),
    ).toMatchObject({ action: 'call' })
    expect(
      bridge.parse(message({ ...nulls, method: 'crm.product.update', params: { id: 1, fields: {} } })),
    ).toMatchObject({ action: 'call' })
    const broken = message({
      action: 'batch',
      method: 'crm.product.list',
      params: { filter: {} },
      meta: null,
    })
    expect(refusal(bridge, broken)).toMatchObject({ code: 'CMD_MISSING', status: 400 })
  })

  test('an empty cmd is a batch without commands', () => {
    const sent = message({ action: 'batch', method: 'batch', params: { cmd: {} } })
    expect(bridge.parse(sent)).toMatchObject({ entries: [] })
    const outcome: Outcome = {
      kind: 'done',
      status: 200,
      attempts: 0,
      result: { action: 'batch', chunks: [] },
    }
    expect(wire(sent, outcome)).toBe('{"entity":"batch","result":[]}')
  })

  test('a portal, a priority and an order key may come as headers', () => {
    const headers = { 'x-b24-portal': 'shop', 'x-b24-priority': 'urgent', 'x-b24-order-key': 'k' }
    expect(bridge.parse(message({ method: 'profile' }, { headers }))).toMatchObject({
      portal: 'shop',
      priority: 'urgent',
      orderKey: 'k',
    })
  })
})

describe('the envelope', () => {
  test.each([
    ['crm.product.list', 'crm.product'],
    ['profile', 'profile'],
    ['batch', 'batch'],
    ['tasks.flow.Flow.create', 'tasks.flow.Flow'],
  ])('the entity of %s is %s', (method, entity) => {
    expect(wire(message({ method }), answered({ result: 1 }))).toMatch(`{"entity":"${entity}","result":[{`)
  })

  test('eight keys in their order, whatever the action', () => {
    const list = message({ action: 'list', method: 'crm.product.list' })
    const batch = message({ action: 'batch', method: 'batch', params: { cmd: { a: 'profile' } } })
    const chunks = [chunk(['a'], { result: { a: 1 } })]
    for (const body of [
      wire(message({ method: 'profile' }), answered({ result: 1 })),
      wire(list, listed([{ ID: 1 }])),
      wire(batch, { kind: 'done', status: 200, attempts: 1, result: { action: 'batch', chunks } }),
    ]) {
      expect(Object.keys((JSON.parse(body) as { result: [JsonObject] }).result[0])).toEqual(KEYS)
    }
  })

  test('properties: confirmed, addressed, and easy to match', () => {
    const sent = message({ method: 'profile' }, { messageId: 'm1' })
    const { body: _, ...properties } = bridge.reply(
      sent,
      bridge.parse(sent),
      answered({ result: 1 }),
      context,
    )
    expect(properties).toEqual({
      headers: { 'x-b24-outcome': 'done', 'x-b24-attempts': 1 },
      messageId: 'new-id',
      correlationId: 'm1',
      contentType: 'application/json',
      timestamp: 1_763_769_600,
      appId: 'bitrix24-bridge',
      persistent: true,
    })
    const own = message({ method: 'profile' }, { messageId: 'm1', correlationId: 'c1' })
    expect(bridge.reply(own, undefined, answered({ result: 1 }), context).correlationId).toBe('c1')
  })

  test('many: false gives one bare object', () => {
    const single = createBitrix24BridgeContract({ many: false })
    expect(wire(message({ method: 'profile' }), answered({ result: 1 }), single)).toBe(
      '{"entity":"profile","result":{"action":"default","method":"profile","params":{},"result":[{"result":1}],"status_code":200,"next":null,"total":null,"meta":{}}}',
    )
  })
})

describe('the reply to a single call', () => {
  test('holds the whole body of the portal, digit for digit, and lifts next and total', () => {
    const sent = message(
      '{ "action": "", "method": "crm.deal.list", "params": { "b": 1.0, "a": [ ] }, "meta": { "id": 12345678901234567890 } }',
    )
    const raw = '{"result":{"15":{"ID":"15"},"3":{"SUM":1.50}},"total":52,"next":50,"time":{"start":1}}'
    expect(wire(sent, answered(JSON.parse(raw) as JsonObject, { raw }))).toBe(
      '{"entity":"crm.deal","result":[{"action":"default","method":"crm.deal.list","params":{"b":1.0,"a":[]},' +
        `"result":[${raw}],"status_code":200,"next":50,"total":52,"meta":{"id":12345678901234567890}}]}`,
    )
  })

  test('holds the error of the portal in the same shape, with its status', () => {
    const sent = message({ action: 'default', method: 'crm.deal.get', params: { id: 0 }, meta: 'm' })
    const body = { error: '', error_description: 'Not found' }
    expect(wire(sent, answered(body, { status: 400, raw: JSON.stringify(body) }))).toBe(
      '{"entity":"crm.deal","result":[{"action":"default","method":"crm.deal.get","params":{"id":0},' +
        '"result":[{"error":"","error_description":"Not found"}],"status_code":400,"next":null,"total":null,"meta":"m"}]}',
    )
  })

  test('holds an empty object when the portal sent no JSON, and says why behind the eight keys', () => {
    const sent = message({ method: 'crm.deal.get' })
    const failure = { code: 'UNEXPECTED_ANSWER', description: 'HTTP 502 with a web page', retryable: false }
    const outcome: Outcome = { kind: 'failed', status: 502, attempts: 3, failure }
    const start =
      '{"entity":"crm.deal","result":[{"action":"default","method":"crm.deal.get","params":{},"result":[{}],"status_code":502,"next":null,"total":null,"meta":{}'
    expect(wire(sent, outcome)).toBe(
      `${start},"error":{"code":"UNEXPECTED_ANSWER","description":"HTTP 502 with a web page"},"outcome":"failed"}]}`,
    )
    expect(wire(sent, outcome, strict)).toBe(`${start}}]}`)
  })
})

describe('the reply to a list', () => {
  const sent = message(
    '{"action":"list","method":"crm.product.list","params":{"start":100,"filter":{"2":1,"1":2}},"meta":7}',
  )

  test('is one element with all rows, the first total and no next; params show what was done to them', () => {
    expect(wire(sent, listed([{ ID: '1' }, { ID: '2' }], { total: 2 }))).toBe(
      '{"entity":"crm.product","result":[{"action":"list","method":"crm.product.list",' +
        '"params":{"filter":{"2":1,"1":2},"select":["*","PROPERTY_*"]},"result":[{"ID":"1"},{"ID":"2"}],' +
        '"status_code":200,"next":null,"total":2,"meta":7}]}',
    )
  })

  test('a select of the sender stays as it is', () => {
    const own = message({ action: 'list', method: 'crm.product.list', params: { select: ['ID'] } })
    expect(wire(own, listed([]))).toContain('"params":{"select":["ID"]}')
  })

  test('a single row does not lend its own next and total, except in strict mode', () => {
    const row = { ID: '1', next: 'n', total: 't' }
    expect(wire(sent, listed([row], { total: null }))).toContain('"next":null,"total":null')
    expect(wire(sent, listed([row], { total: null }), strict)).toContain('"next":"n","total":"t"')
    expect(wire(sent, listed([row], { total: 1 }), strict)).toContain('"next":"n","total":1')
    expect(wire(sent, listed([{ ID: '1' }], { total: null }), strict)).toContain('"next":null,"total":null')
    expect(wire(sent, listed([row, row], { total: null }), strict)).toContain('"next":null,"total":null')
  })

  test('pages that could not be read are listed, never passed over', () => {
    const missing = [{ page: 'start=50', code: 'ERROR_CORE', description: 'x' }]
    const outcome: Outcome = {
      kind: 'failed',
      status: 500,
      attempts: 4,
      result: { action: 'list', rows: [{ ID: '1' }], total: 51, status: 500, missing },
      failure: { code: 'ERROR_CORE', description: 'x', retryable: false },
    }
    const element = (JSON.parse(wire(sent, outcome)) as { result: JsonObject[] }).result[0]
    expect(element).toMatchObject({
      result: [{ ID: '1' }],
      status_code: 500,
      total: 51,
      errors: missing,
      outcome: 'failed',
    })
    const plain = (JSON.parse(wire(sent, outcome, strict)) as { result: [JsonObject] }).result[0]
    expect(Object.keys(plain)).toEqual(KEYS)
  })

  test('a first call that failed gives no rows, the status, and the reason in error', () => {
    const outcome = listed([], {
      kind: 'failed',
      status: 403,
      total: null,
      failure: { code: 'ACCESS_DENIED', description: 'no', retryable: false },
    })
    expect(wire(sent, outcome)).toContain(
      '"result":[],"status_code":403,"next":null,"total":null,"meta":7,"error":{"code":"ACCESS_DENIED","description":"no"},"outcome":"failed"}',
    )
  })

  test('a first call that the portal refused: no rows, its status, and the error that was lost before', () => {
    const refused = answered({ error: 'ACCESS_DENIED', error_description: 'no' }, { status: 403 })
    const end = '"error":{"code":"ACCESS_DENIED","description":"no"},"outcome":"failed"}]}'
    expect(wire(sent, refused)).toContain(
      `"result":[],"status_code":403,"next":null,"total":null,"meta":7,${end}`,
    )
    expect(wire(sent, refused, strict)).toContain(
      '"result":[],"status_code":403,"next":null,"total":null,"meta":7}]}',
    )
  })
})

describe('the reply to a batch', () => {
  const cmd = { '9': 'crm.deal.get?id=9', a: 'profile', '2': 'crm.deal.get?id=2' }
  const text = `{"action":"batch","method":"batch","params":{"halt":false,"cmd":{"9":"${cmd['9']}","a":"profile","2":"${cmd['2']}"},"k":1},"meta":{}}`
  const time = { duration: 1 }

  test('is an element a request with the whole batch body as PHP writes it; cmd is gone from params', () => {
    const chunks = [
      chunk(['9', 'a', '2'], {
        result: { '2': { ID: '2' }, '9': { ID: '9' } },
        result_error: { a: { error: 'E', error_description: 'd' } },
        result_time: { '9': time, '2': time },
      }),
    ]
    const outcome: Outcome = { kind: 'done', status: 200, attempts: 1, result: { action: 'batch', chunks } }
    expect(wire(message(text), outcome)).toBe(
      '{"entity":"batch","result":[{"action":"batch","method":"batch","params":{"halt":false,"k":1},"result":[' +
        '{"result":{"result":{"9":{"ID":"9"},"2":{"ID":"2"}},"result_error":{"a":{"error":"E","error_description":"d"}},' +
        '"result_total":[],"result_next":[],"result_time":{"9":{"duration":1},"2":{"duration":1}}},"time":{"start":1,"finish":2}}' +
        '],"status_code":200,"next":null,"total":null,"meta":{}}]}',
    )
  })

  test('names 0, 1, 2 in order are a list, as from the portal', () => {
    const sent = message({ action: 'batch', method: 'batch', params: { cmd: { 0: 'profile', 1: 'scope' } } })
    const chunks = [chunk(['0', '1'], { result: { 0: 'p', 1: 's' } })]
    const outcome: Outcome = { kind: 'done', status: 200, attempts: 1, result: { action: 'batch', chunks } }
    expect(wire(sent, outcome)).toContain('{"result":{"result":["p","s"],"result_error":[],')
  })

  test('51 commands are two elements', () => {
    const names = Array.from({ length: 51 }, (_, i) => `c${i}`)
    const sent = message({
      action: 'batch',
      method: 'batch',
      params: { cmd: Object.fromEntries(names.map((n) => [n, 'profile'])) },
    })
    const chunks = [chunk(names.slice(0, 50), {}), chunk(names.slice(50), { result: { c50: 'last' } })]
    const outcome: Outcome = { kind: 'done', status: 200, attempts: 2, result: { action: 'batch', chunks } }
    const { result } = JSON.parse(wire(sent, outcome)) as { result: JsonObject[] }
    expect(result).toHaveLength(2)
    expect(result[1]).toMatchObject({ result: [{ result: { result: { c50: 'last' } } }] })
  })

  test('a request that failed as a whole shows its error, as from the portal', () => {
    const body = { error: 'INVALID_CREDENTIALS', error_description: 'no' }
    const outcome: Outcome = {
      kind: 'failed',
      status: 401,
      attempts: 1,
      result: {
        action: 'batch',
        chunks: [chunk(['9', 'a', '2'], { result_error: { 9: body, a: body, 2: body } })],
      },
      failure: { code: 'INVALID_CREDENTIALS', description: 'no', retryable: false },
    }
    const { result } = JSON.parse(wire(message(text), outcome)) as { result: JsonObject[] }
    expect(result).toMatchObject([{ result: [body], status_code: 401, outcome: 'failed' }])
  })

  test('a request of which nobody knows the end says so behind the eight keys', () => {
    const outcome: Outcome = {
      kind: 'unknown',
      status: 504,
      attempts: 1,
      result: { action: 'batch', chunks: [chunk(['9', 'a', '2'], { result: { a: 1 } })] },
      failure: { code: 'TIMEOUT', description: 'cut', retryable: false },
    }
    const { result } = JSON.parse(wire(message(text), outcome)) as { result: JsonObject[] }
    expect(result).toMatchObject([{ status_code: 200, error: { code: 'TIMEOUT' }, outcome: 'unknown' }])
  })

  test('commands that no request carried show as an error of their own', () => {
    const sent = message(text)
    const outcome: Outcome = {
      kind: 'failed',
      status: 503,
      attempts: 1,
      result: { action: 'batch', chunks: [chunk(['9', 'a'], { result: { 9: 1 } })] },
      failure: { code: 'QUERY_LIMIT_EXCEEDED', description: 'wait', retryable: true },
    }
    const { result } = JSON.parse(wire(sent, outcome)) as { result: JsonObject[] }
    expect(result).toMatchObject([
      { status_code: 200 },
      { status_code: 503, result: [{ error: 'QUERY_LIMIT_EXCEEDED', error_description: 'wait' }] },
    ])
  })
})

describe('an error where the older program was silent', () => {
  test.each([
    ['{"method":""}', '""', 'METHOD_MISSING'],
    ['{"params":{"id":1},"meta":{"k":2}}', 'null', 'METHOD_MISSING'],
  ])('%s is answered in the same envelope', (text, method, code) => {
    const bad = message(text)
    const error = refusal(bridge, bad)
    const { params = {}, meta = {} } = JSON.parse(text) as JsonObject
    expect(bridge.reply(bad, undefined, outcomeOf(error), context).body.toString()).toBe(
      `{"entity":"${method === 'null' ? 'default' : ''}","result":[{"action":"default","method":${method},` +
        `"params":${JSON.stringify(params)},"result":[{"error":"${code}","error_description":"The command names no method."}],` +
        `"status_code":400,"next":null,"total":null,"meta":${JSON.stringify(meta)},"outcome":"failed"}]}`,
    )
  })

  test('a body that is no JSON object is answered with the defaults', () => {
    const bad = message('not json')
    const reply = bridge.reply(bad, undefined, outcomeOf(refusal(bridge, bad)), context)
    expect(bodyOf(reply)).toMatchObject({
      entity: 'default',
      result: [{ action: 'default', method: null, params: {}, status_code: 400, meta: {} }],
    })
    expect(reply.headers).toEqual({
      'x-b24-outcome': 'failed',
      'x-b24-attempts': 0,
      'x-b24-error': 'BODY_NOT_JSON',
    })
  })

  test('a write whose end nobody knows says so', () => {
    const sent = message({ method: 'crm.deal.add', params: { fields: {} } })
    const failure = { code: 'UNCERTAIN', description: 'cut', retryable: false }
    expect(wire(sent, { kind: 'unknown', status: 504, attempts: 1, failure })).toMatch(
      /"result":\[\{"error":"UNCERTAIN","error_description":"cut"\}\],"status_code":504,"next":null,"total":null,"meta":\{\},"outcome":"unknown"\}\]\}$/,
    )
  })
})
