import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bench, BROKERS, openBench, type Reply } from '../support/bridge.ts'

const many = (count: number, line = 'server.time'): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`c${i}`, line]))

const call = (parts: Record<string, unknown>) => ({ method: 'crm.deal.get', params: { id: 1 }, ...parts })
const batch = (cmd: unknown) => ({ action: 'batch', params: { cmd } })

const BAD_NATIVE: readonly (readonly [string, unknown, string, number])[] = [
  ['a body that is no JSON', 'not json', 'BODY_NOT_JSON', 400],
  ['an empty body', '', 'BODY_NOT_JSON', 400],
  ['cut JSON', '{"method":"crm.deal.get","params":{"id":', 'BODY_NOT_JSON', 400],
  ['a list', '[1]', 'BODY_NOT_OBJECT', 400],
  ['a number', '7', 'BODY_NOT_OBJECT', 400],
  ['null', 'null', 'BODY_NOT_OBJECT', 400],
  ['bytes that are no UTF-8', Buffer.from([0x7b, 0xff, 0xfe, 0x7d]), 'BODY_NOT_UTF8', 400],
  [
    '20 MB',
    `{"method":"crm.deal.get","params":{"x":"${'x'.repeat(20 * 1024 * 1024)}"}}`,
    'BODY_TOO_LARGE',
    413,
  ],
  [
    'JSON nested too deep',
    `{"method":"a","params":${'['.repeat(600)}${']'.repeat(600)}}`,
    'BODY_TOO_DEEP',
    400,
  ],
  ['no method', { params: {} }, 'METHOD_MISSING', 400],
  ['an empty method', { method: '' }, 'METHOD_MISSING', 400],
  ['a method that is null', { method: null }, 'METHOD_MISSING', 400],
  ['a method that is a number', { method: 7 }, 'METHOD_INVALID', 400],
  ['a method with a space', { method: 'crm.deal get' }, 'METHOD_INVALID', 400],
  ['a method with a slash', { method: 'crm/deal' }, 'METHOD_INVALID', 400],
  ['a method with dots that climb', { method: '../../admin' }, 'METHOD_INVALID', 400],
  ['a method with two dots', { method: 'crm..deal.get' }, 'METHOD_INVALID', 400],
  ['a method with a query', { method: 'crm.deal.get?id=1' }, 'METHOD_INVALID', 400],
  ['a method with a line break', { method: 'crm.deal.get\r\nX: y' }, 'METHOD_INVALID', 400],
  ['an unknown action', call({ action: 'lst' }), 'ACTION_UNKNOWN', 400],
  ['a key that no command has', call({ parms: {} }), 'KEY_UNKNOWN', 400],
  ['params as text', call({ params: 'id=1' }), 'PARAMS_INVALID', 400],
  ['params as number', call({ params: 7 }), 'PARAMS_INVALID', 400],
  ['a list with params by position', call({ action: 'list', params: [1] }), 'PARAMS_INVALID', 400],
  ['a priority that is none', call({ priority: 'soon' }), 'FIELD_INVALID', 400],
  ['a deadline of nothing', call({ deadlineMs: 0 }), 'FIELD_INVALID', 400],
  ['an unknown portal', call({ portal: 'nobody.bitrix24.com' }), 'PORTAL_UNKNOWN', 404],
  ['a batch without cmd', { action: 'batch', params: {} }, 'CMD_MISSING', 400],
  ['a batch with an empty cmd', batch({}), 'CMD_EMPTY', 400],
  ['a batch with an empty list', batch([]), 'CMD_EMPTY', 400],
  ['a cmd that is a number', batch(7), 'CMD_INVALID', 400],
  ['a command that is a number', batch({ a: 7 }), 'CMD_INVALID', 400],
  ['a batch in the batch', batch({ a: 'batch?cmd[b]=server.time' }), 'ERROR_BATCH_METHOD_NOT_ALLOWED', 400],
  ['a reference to nothing', batch({ a: 'crm.deal.get?id=$result[b]' }), 'REFERENCE_UNKNOWN', 400],
  [
    'a reference to a later command',
    batch({ a: 'crm.deal.get?id=$result[b]', b: 'server.time' }),
    'REFERENCE_UNKNOWN',
    400,
  ],
]

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`bad commands of the native contract ${name}`, () => {
    let bench: Bench
    const ids = new Map<string, string>()
    beforeAll(async () => {
      bench = await openBench({ broker: kind })
      // All at once: the embedded broker looks for messages of other processes only now and then.
      for (const [what, body] of BAD_NATIVE) ids.set(what, await bench.send(body))
    })
    afterAll(async () => {
      await bench[Symbol.asyncDispose]()
    })

    it.each(BAD_NATIVE)('answers %s with a reason and a hint', async (what, _, code, status) => {
      const reply = await bench.reply(ids.get(what)!)
      expect(reply.body).toMatchObject({
        outcome: 'failed',
        status_code: status,
        attempts: 0,
        error: { code },
      })
      expect(reply.body.error.description).toMatch(/.{10,}/)
      expect(reply.body.error.hint).toMatch(/.{10,}/)
    })

    it('sends nothing of them to the portal', () => {
      expect(bench.sandbox.stats().requests).toBe(0)
    })

    it('keeps what could not be read among the dead letters, as it came, with the reason', async () => {
      await bench.dead()
      const id = await bench.send('not json either', { headers: { note: 'mine' } })
      await bench.reply(id)
      await bench.ask(call({ portal: 'nobody.bitrix24.com' }))
      const letters = await bench.dead()
      expect(letters).toHaveLength(1)
      expect(letters[0]!.body.toString()).toBe('not json either')
      expect(letters[0]!).toMatchObject({
        messageId: id,
        headers: { note: 'mine', 'x-b24-reason': 'BODY_NOT_JSON', 'x-b24-queue': bench.commandQueue },
      })
    })

    it.each([
      ['x-b24-priority', 'soon'],
      ['x-b24-priority', 7],
      ['x-b24-portal', true],
      ['x-b24-portal', { a: 'table' }],
      ['x-b24-order-key', ['a', 'list']],
      ['x-b24-order-key', Buffer.from([0, 255])],
    ])('answers a header %s of the wrong type', async (header, value) => {
      const reply = await bench.ask(call({}), { headers: { [header]: value } })
      expect(reply.body).toMatchObject({ outcome: 'failed', error: { code: 'HEADER_INVALID' } })
    })

    it('takes no notice of foreign headers of any type', async () => {
      const headers = { method: 7, 'x-other': { a: [1, true, null] }, 'x-death': [{ count: 1 }] }
      expect((await bench.ask(call({}), { headers })).body.outcome).toBe('done')
    })

    it('answers a method that the portal does not know', async () => {
      const reply = await bench.ask({ method: 'crm.kettle.boil' })
      expect(reply.body).toMatchObject({
        outcome: 'failed',
        status_code: 404,
        error: { code: 'ERROR_METHOD_NOT_FOUND', retryable: false },
      })
    })

    it('runs batches of 51 and of 2600 commands, 50 a request, each answered by its name', async () => {
      for (const [count, requests] of [
        [51, 2],
        [2600, 52],
      ] as const) {
        const before = bench.sandbox.stats().requests
        const reply = await bench.ask(batch(many(count)))
        expect(reply.body.outcome).toBe('done')
        expect(Object.keys(reply.body.result)).toEqual(Object.keys(many(count)))
        expect(reply.body.errors).toEqual({})
        expect(bench.sandbox.stats().requests - before).toBe(requests)
      }
    })

    it('runs commands with numeric names in the order in which they are written', async () => {
      const body = `{"action":"batch","params":{"halt":true,"cmd":{"7":"crm.deal.get?id=1","3":"crm.deal.get?id=99999","1":"crm.deal.get?id=2"}}}`
      const reply = await bench.ask(body)
      expect(reply.body.result).toEqual({ 7: expect.objectContaining({ ID: '1' }) })
      expect(Object.keys(reply.body.errors)).toEqual(['3'])
    })

    it('lets a command refer to the result of an earlier one, whatever its name', async () => {
      const cmd = `{"me & you":["user.current"],"2":["department.get",{"ID":"$result[me & you][UF_DEPARTMENT][0]"}]}`
      const reply = await bench.ask(`{"action":"batch","params":{"cmd":${cmd}}}`)
      expect(reply.body.result['2']).toMatchObject([{ ID: '1' }])
    })

    it('accounts for all of it: one reply each, no secret outside', async () => {
      await bench.account()
      expect(bench.service.inHand()).toBe(0)
      expect(await bench.tool.queueInfo(bench.commandQueue)).toMatchObject({ messages: 0 })
    })
  })

  describe.skipIf(skip)(`bad commands of the contract bitrix24-bridge ${name}`, () => {
    let bench: Bench
    beforeAll(async () => {
      bench = await openBench({ broker: kind, contract: 'bitrix24-bridge' })
    })
    afterAll(async () => {
      await bench[Symbol.asyncDispose]()
    })
    const element = (reply: Reply) => reply.body.result[0]

    it.each([
      ['no JSON', '{', 'BODY_NOT_JSON'],
      ['a list', [], 'BODY_NOT_OBJECT'],
      ['bytes that are no UTF-8', Buffer.from([0xff]), 'BODY_NOT_UTF8'],
      ['20 MB', `{"method":"crm.deal.get","params":{"x":"${'x'.repeat(20e6)}"}}`, 'BODY_TOO_LARGE'],
      ['no method', { action: 'default' }, 'METHOD_MISSING'],
      ['a method with a slash', { method: 'crm/deal' }, 'METHOD_INVALID'],
      ['params as text', { method: 'crm.deal.get', params: 'x' }, 'PARAMS_INVALID'],
      [
        'a batch with the params of a list',
        { method: 'crm.deal.list', action: 'batch', params: { filter: {} } },
        'CMD_MISSING',
      ],
      [
        'a reference to nothing',
        { method: 'batch', ...batch({ a: 'user.get?id=$result[b]' }) },
        'REFERENCE_UNKNOWN',
      ],
    ])('answers %s in the envelope of the older program', async (_, body, code) => {
      const reply = await bench.ask(body)
      expect(Object.keys(reply.body)).toEqual(['entity', 'result'])
      expect(reply.body.result).toHaveLength(1)
      expect(element(reply).result).toMatchObject([{ error: code }])
      expect(element(reply)).toMatchObject({ outcome: 'failed' })
      expect(reply.message.headers).toMatchObject({ 'x-b24-outcome': 'failed', 'x-b24-error': code })
    })

    it('takes an unknown action for a plain call, and falsy parts for missing ones', async () => {
      const reply = await bench.ask({
        action: 'dispatch',
        method: 'crm.deal.get',
        params: { id: 3 },
        meta: 0,
      })
      expect(element(reply)).toMatchObject({
        action: 'default',
        status_code: 200,
        meta: {},
        params: { id: 3 },
      })
      expect(element(reply).result[0].result.ID).toBe('3')
      const bare = await bench.ask({ action: null, method: 'user.current', params: null, meta: null })
      expect(element(bare)).toMatchObject({ action: 'default', status_code: 200, params: {} })
    })

    it('answers an empty batch with no elements, and one of 51 commands with two', async () => {
      expect((await bench.ask({ method: 'batch', ...batch({}) })).body).toEqual({
        entity: 'batch',
        result: [],
      })
      const reply = await bench.ask({ method: 'batch', ...batch(many(51)) })
      expect(reply.body.result).toHaveLength(2)
      expect(Object.keys(reply.body.result[1].result[0].result.result)).toEqual(['c50'])
    })

    it('passes on what the portal says of an unknown method and of a missing object', async () => {
      const unknown = await bench.ask({ method: 'crm.kettle.boil' })
      expect(element(unknown)).toMatchObject({
        status_code: 404,
        result: [{ error: 'ERROR_METHOD_NOT_FOUND' }],
      })
      const missing = await bench.ask({ method: 'crm.deal.get', params: { id: 9999 } })
      expect(element(missing)).toMatchObject({
        status_code: 400,
        result: [{ error: '', error_description: 'Not found' }],
      })
    })

    it('accounts for all of it', async () => {
      await bench.account()
    })
  })

  describe.skipIf(skip)(`bad commands of the contract rabbitmq-to-bitrix24 ${name}`, () => {
    let bench: Bench
    beforeAll(async () => {
      bench = await openBench({ broker: kind, contract: 'rabbitmq-to-bitrix24' })
    })
    afterAll(async () => {
      await bench[Symbol.asyncDispose]()
    })
    const headers = { method: 'crm.deal.get', user: '1', token: 's3cr3t' }

    it.each([
      ['no method', { user: '1', token: 's3cr3t' }],
      ['a method with a space', { ...headers, method: 'crm deal' }],
      ['a method that is a table', { ...headers, method: { a: 1 } }],
      ['no user', { method: 'crm.deal.get', token: 's3cr3t' }],
      ['no token', { method: 'crm.deal.get', user: '1' }],
      ['a user that is a word', { ...headers, user: 'admin' }],
      ['a user that is a truth value', { ...headers, user: true }],
      ['a token that climbs', { ...headers, token: '../1/s3cr3t' }],
      ['a token that is a number', { ...headers, token: 1.5 }],
      ['a portal beside the webhook', { ...headers, 'x-b24-portal': 'a.bitrix24.com' }],
    ])('answers headers with %s', async (_, wrong) => {
      const reply = await bench.ask({ id: 1 }, { headers: wrong })
      expect(reply.body).toMatchObject({ error: 'INVALID_REQUEST' })
      expect(reply.message.headers['x-b24-status']).toBe(400)
    })

    it.each([
      ['no JSON', '{', 'BODY_NOT_JSON'],
      ['a number', '7', 'INVALID_REQUEST'],
      ['bytes that are no UTF-8', Buffer.from([0xff]), 'BODY_NOT_UTF8'],
    ])('answers a body that is %s', async (_, body, error) => {
      expect((await bench.ask(body, { headers })).body).toMatchObject({ error })
    })

    it('answers a wrong token, an unknown method and a missing object as the portal does', async () => {
      const wrong = await bench.ask({ id: 1 }, { headers: { ...headers, token: 'wr0ng' } })
      expect(wrong.body).toMatchObject({ error: 'INVALID_CREDENTIALS' })
      expect(wrong.message.headers['x-b24-status']).toBe(401)
      const unknown = await bench.ask({}, { headers: { ...headers, method: 'crm.kettle.boil' } })
      expect(unknown.message.headers['x-b24-status']).toBe(404)
      const missing = await bench.ask({ id: 9999 }, { headers })
      expect(missing.body).toEqual({ error: '', error_description: 'Not found' })
    })

    it('takes an empty body and a user that is a number', async () => {
      const reply = await bench.ask('', { headers: { method: 'user.current', user: 1, token: 's3cr3t' } })
      expect(reply.body.result.ID).toBe('1')
    })

    it('accounts for all of it: one reply each, no token outside', async () => {
      await bench.account()
      expect(bench.logs()).not.toContain('wr0ng')
    })
  })
}
