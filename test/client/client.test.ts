import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Client, type ClientOptions, createClient, ref } from '../../src/client/client.ts'
import type { CallSettled } from '../../src/client/lane/work.ts'
import { parseWebhook, webhookCredential } from '../../src/model/webhook.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/index.ts'

async function open(
  sandboxOptions: SandboxOptions = {},
  clientOptions: Partial<ClientOptions> = {},
): Promise<{ sandbox: Sandbox; b24: Client }> {
  const sandbox = await createSandbox({ limits: 'off', ...sandboxOptions })
  const b24 = createClient({ webhook: sandbox.webhookUrl, limit: 'off', ...clientOptions })
  onTestFinished(async () => {
    await b24.close()
    await sandbox.close()
  })
  return { sandbox, b24 }
}

const echo = (b24: Client, params: Record<string, unknown>) => b24.call('sandbox.echo', params)
const codes = (settled: readonly CallSettled[]) => settled.map(({ error }) => error?.code)

describe('calls that are made together', () => {
  it('travel 50 a request: a hundred are two, and each gets its own answer', async () => {
    const { sandbox, b24 } = await open()
    const ids = Array.from({ length: 100 }, (_, i) => i + 1)
    const deals = await Promise.all(ids.map((id) => b24.call<{ ID: string }>('crm.deal.get', { id })))
    expect(deals.map(({ ID }) => Number(ID))).toEqual(ids)
    expect(sandbox.stats()).toMatchObject({ requests: 2, commands: { batch: 2, 'crm.deal.get': 100 } })
  })

  it('travel directly when there is only one', async () => {
    const { sandbox, b24 } = await open()
    expect(await b24.call('crm.deal.get', { id: 7 })).toMatchObject({ ID: '7' })
    expect(sandbox.stats().commands).toEqual({ 'crm.deal.get': 1 })
  })

  it('gather while a request is under way', async () => {
    const { sandbox, b24 } = await open({ latencyMs: 50 }, { lingerMs: 40 })
    const first = b24.call('server.time')
    await sleep(5) // The first request must have left.
    const rest: Promise<unknown>[] = []
    for (let i = 0; i < 10; i++) {
      rest.push(b24.call('server.time'))
      await sleep(1) // Spread over the linger, not over one tick.
    }
    await Promise.all([first, ...rest])
    expect(sandbox.stats().requests).toBe(2)
  })

  it('fail one by one: a refused call does not touch its neighbours', async () => {
    const { b24 } = await open()
    const settled = await Promise.all([
      b24.send('crm.deal.get', { id: 1 }),
      b24.send('crm.deal.get', { id: 99_999 }),
      b24.send('crm.kettle.boil'),
      b24.send('crm.deal get'),
      b24.send('crm.deal.get', { id: 2 }),
    ])
    expect(codes(settled)).toEqual([
      undefined,
      'ERROR',
      'ERROR_METHOD_NOT_FOUND',
      'METHOD_INVALID',
      undefined,
    ])
    expect(settled[1]?.answer).toMatchObject({
      status: 400,
      body: { error: '', error_description: 'Not found' },
    })
    expect(settled[2]?.answer?.status).toBe(404)
  })

  it('never share a request across credentials of one portal', async () => {
    const { sandbox, b24 } = await open()
    sandbox.change({ scopes: { second: ['user'] } })
    const other = webhookCredential(parseWebhook(sandbox.webhookUrl.replace('s3cr3t', 'second')))
    const settled = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        b24.send('crm.deal.get', { id: i + 1 }, i % 2 === 0 ? {} : { credential: other }),
      ),
    )
    expect(settled.filter(({ error }) => error?.code === 'insufficient_scope')).toHaveLength(10)
    expect(settled.filter(({ error }) => error === undefined)).toHaveLength(10)
    expect(sandbox.stats().requests).toBe(2)
  })

  it('take turns by priority: urgent work overtakes normal and bulk work that waits', async () => {
    const { b24 } = await open({ latencyMs: 5 }, { maxInFlight: 1 })
    const order: string[] = []
    const begun = b24.call('server.time')
    await sleep(1) // So that the others wait behind a request under way.
    const calls = (['bulk', 'normal', 'urgent'] as const).flatMap((priority) =>
      Array.from({ length: 50 }, () =>
        b24.call('server.time', {}, { priority }).then(() => void order.push(priority)),
      ),
    )
    await Promise.all([begun, ...calls])
    expect(order.slice(0, 50)).toEqual(Array(50).fill('urgent'))
    expect(order.slice(100)).toEqual(Array(50).fill('bulk'))
  })

  it('run one after another where they have the same order key', async () => {
    const { sandbox, b24 } = await open()
    const calls = Array.from({ length: 12 }, (_, i) =>
      b24.call('crm.deal.update', { id: 1, fields: { TITLE: `step ${i}` } }, { orderKey: 'deal 1' }),
    )
    await Promise.all([...calls, b24.call('crm.deal.get', { id: 2 }, { orderKey: 'deal 2' })])
    const titles = sandbox.stats(undefined, true).log?.map(({ title }) => title)
    expect(titles).toEqual(Array.from({ length: 12 }, (_, i) => `step ${i}`))
  })

  it('keep their order key although one of them fails or is given up', async () => {
    const { sandbox, b24 } = await open()
    const stop = new AbortController()
    const step = (fields: unknown, signal?: AbortSignal) =>
      b24.send('crm.deal.update', { id: 1, fields }, { orderKey: 'k', ...(signal ? { signal } : {}) })
    const all = [
      step({ TITLE: 'a' }),
      step('no map'),
      step({ TITLE: 'b' }, stop.signal),
      step({ TITLE: 'c' }),
    ]
    stop.abort()
    expect(codes(await Promise.all(all))).toEqual([undefined, 'ERROR', 'ABORTED', undefined])
    expect(sandbox.stats(undefined, true).log?.map(({ title }) => title)).toEqual(['a', 'c'])
  })
})

describe('values', () => {
  it('that mention $result travel alone and stay what they are', async () => {
    const { sandbox, b24 } = await open()
    const texts = [
      '$result[a]',
      'x $RESULT[k1_0][ID]',
      '$total[a]',
      '%24result%5Ba%5D',
      '$result',
      '$results[a]',
    ]
    const results = await Promise.all([...texts.map((text) => echo(b24, { text })), b24.call('server.time')])
    expect(results.slice(0, -1)).toEqual(texts.map((text) => ({ text })))
    expect(sandbox.stats().commands.batch).toBe(1)
  })

  it('in a name that mentions $result travel alone too', async () => {
    const { b24 } = await open()
    const [odd] = await Promise.all([echo(b24, { '$result[a]': 1 }), b24.call('server.time')])
    expect(odd).toEqual({ '$result[a]': 1 })
  })

  it('of all kinds mean in a batch what they mean alone, as far as query text can say it', async () => {
    const { b24 } = await open()
    const params = {
      text: 'a&b=c#d?e+f %25 "q" \\ / ü 💡 \n',
      empty: '',
      number: 1.5,
      negative: -3,
      list: ['x', ['y'], { z: 'w' }],
      map: { 'a b': { '>=DATE': '2026-01-01' }, 'k[0]': 'bracket' },
    }
    const alone = await echo(b24, params)
    const [together] = await Promise.all([echo(b24, params), b24.call('server.time')])
    expect(alone).toEqual(params)
    expect(together).toMatchObject({
      text: params.text,
      empty: '',
      number: '1.5',
      negative: '-3',
      list: params.list,
    })
  })

  it('null, true and false become empty, 1 and 0 in a batch', async () => {
    const { b24 } = await open()
    const [together] = await Promise.all([
      echo(b24, { none: null, yes: true, no: false }),
      b24.call('server.time'),
    ])
    expect(together).toEqual({ none: '', yes: '1', no: '0' })
  })

  it('that query text cannot say travel alone as JSON', async () => {
    const { sandbox, b24 } = await open()
    const [empty, nested] = await Promise.all([
      echo(b24, { list: [], n: 1 }),
      echo(b24, { fields: { phones: {} } }),
      b24.call('server.time'),
      b24.call('server.time'),
    ])
    expect([empty, nested]).toEqual([{ list: [], n: 1 }, { fields: { phones: {} } }])
    expect(sandbox.stats().requests).toBe(3)
  })

  it('are written as JSON would write them: dates as text, undefined left out', async () => {
    const { b24 } = await open()
    const date = new Date(0)
    const result = await echo(b24, { date, gone: undefined, deep: [{ gone: undefined, date }] })
    expect(result).toEqual({ date: date.toISOString(), deep: [{ date: date.toISOString() }] })
  })

  it('by position reach the portal in their order', async () => {
    const { sandbox, b24 } = await open()
    const [id] = await Promise.all([
      b24.call<number>('task.commentitem.add', [1, { POST_MESSAGE: 'hello' }]),
      b24.call('server.time'),
    ])
    expect(id).toBeGreaterThan(0)
    expect(sandbox.stats(undefined, true).log).toMatchObject([{ title: 'hello' }])
  })
})

describe('a named batch', () => {
  it('gives results, errors and totals by name, and lets commands refer to earlier ones', async () => {
    const { sandbox, b24 } = await open({ deals: 60 })
    const answer = await b24.batch({
      me: ['user.current'],
      dept: ['department.get', { ID: ref('me', 'UF_DEPARTMENT', 0) }],
      deals: ['crm.deal.list', { select: ['ID'] }],
      none: ['crm.deal.get', { id: 99_999 }],
    })
    expect(answer.results.dept).toMatchObject([{ ID: '1' }])
    expect(answer.totals).toEqual({ dept: 1, deals: 60 })
    expect(Object.keys(answer.errors)).toEqual(['none'])
    expect(answer.settled.none?.answer?.status).toBe(400)
    expect(sandbox.stats().requests).toBe(1)
  })

  it('with references shares its request with nobody', async () => {
    const { sandbox, b24 } = await open()
    await Promise.all([
      b24.batch({ me: ['user.current'], x: ['sandbox.echo', { a: ref('me', 'ID') }] }),
      b24.call('server.time'),
      b24.call('server.time'),
    ])
    expect(sandbox.stats().requests).toBe(2)
  })

  it('without references shares its request with calls beside it', async () => {
    const { sandbox, b24 } = await open()
    const [batch] = await Promise.all([
      b24.batch({ a: ['sandbox.echo', { v: 1 }], b: ['sandbox.echo', { v: 2 }] }),
      b24.call('server.time'),
    ])
    expect(batch.results).toEqual({ a: { v: '1' }, b: { v: '2' } })
    expect(sandbox.stats().requests).toBe(1)
  })

  it('stops at the first failure when told to, and says of the rest that it was not run', async () => {
    const { sandbox, b24 } = await open()
    const answer = await b24.batch(
      {
        first: ['crm.deal.add', { fields: { TITLE: 'one' } }],
        bad: ['crm.deal.get', { id: 99_999 }],
        last: ['crm.deal.add', { fields: { TITLE: 'two' } }],
      },
      { halt: true },
    )
    expect(Object.keys(answer.results)).toEqual(['first'])
    expect(answer.errors.bad?.code).toBe('ERROR')
    expect(answer.errors.last).toMatchObject({ code: 'BATCH_HALTED', mayHaveRun: false })
    expect(sandbox.stats().writes).toBe(1)
  })

  it('does not begin the next 50 after a failure when told to halt', async () => {
    const { sandbox, b24 } = await open()
    const commands = Object.fromEntries(
      Array.from({ length: 120 }, (_, i) => [
        `c${i}`,
        ['crm.deal.get', { id: i === 10 ? 99_999 : 1 }] as const,
      ]),
    )
    const answer = await b24.batch(commands, { halt: true })
    expect(Object.keys(answer.results)).toHaveLength(10)
    expect(Object.keys(answer.errors)).toHaveLength(110)
    expect(sandbox.stats().requests).toBe(1)
  })

  it('refuses a reference to a name that it does not have', async () => {
    const { sandbox, b24 } = await open()
    const wrong = b24.batch({ a: ['user.get', { ID: ref('b') }], b: ['user.current'] })
    await expect(wrong).rejects.toMatchObject({ code: 'REFERENCE_UNKNOWN' })
    expect(sandbox.stats().requests).toBe(0)
  })

  it('may have names of any kind, and none at all', async () => {
    const { b24 } = await open()
    const names = ['7', '1', 'a b', '__proto__x', 'k]', 'имя', '']
    const commands = Object.fromEntries(names.map((name) => [name, ['sandbox.echo', { name }] as const]))
    const { results } = await b24.batch(commands)
    expect(results).toEqual(Object.fromEntries(names.map((name) => [name, { name }])))
    expect(await b24.batch({})).toEqual({ results: {}, errors: {}, totals: {}, settled: {} })
  })

  it('sends what a batch cannot carry on its own, in order', async () => {
    const { sandbox, b24 } = await open()
    const { results, errors } = await b24.batch({
      a: ['sandbox.echo', { v: 1 }],
      comment: ['task.commentitem.add', [1, { POST_MESSAGE: 'x' }]],
      empty: ['sandbox.echo', { list: [], v: 2 }],
      b: ['sandbox.echo', { v: 3 }],
    })
    expect(errors).toEqual({})
    expect(results).toMatchObject({ a: { v: 1 }, empty: { list: [], v: 2 }, b: { v: 3 } })
    expect(sandbox.stats()).toMatchObject({ requests: 4, commands: { 'sandbox.echo': 3 } })
  })
})

describe('giving up', () => {
  it('ends a call that was not sent when its signal aborts, and leaves one that was', async () => {
    const { sandbox, b24 } = await open({ latencyMs: 40 }, { maxInFlight: 1 })
    const stop = new AbortController()
    const sent = b24.send('server.time', {}, { signal: stop.signal })
    await sleep(10) // The first must be under way.
    const waiting = b24.send('server.time', {}, { signal: stop.signal })
    stop.abort()
    expect((await waiting).error).toMatchObject({ code: 'ABORTED', mayHaveRun: false })
    expect((await sent).error).toBeUndefined()
    expect((await b24.send('server.time', {}, { signal: stop.signal })).error?.code).toBe('ABORTED')
    expect(sandbox.stats().requests).toBe(1)
  })

  it('ends a call whose deadline passes while it waits', async () => {
    const { sandbox, b24 } = await open({ latencyMs: 300 }, { maxInFlight: 1 })
    const first = b24.send('server.time', {}, { deadlineMs: 50 })
    await sleep(10) // Under way: its deadline does not matter any more.
    const late = await b24.send('crm.deal.add', { fields: { TITLE: 'late' } }, { deadlineMs: 50 })
    expect(late.error).toMatchObject({ code: 'DEADLINE_EXCEEDED', status: 504, mayHaveRun: false })
    expect((await first).error).toBeUndefined()
    expect(sandbox.stats().writes).toBe(0)
  })

  it('ends waiting calls when the client closes, after the answers that are under way', async () => {
    const { sandbox, b24 } = await open({ latencyMs: 50 }, { maxInFlight: 1 })
    const first = b24.send('crm.deal.add', { fields: { TITLE: 'kept' } })
    await sleep(10) // Under way.
    const second = b24.send('server.time')
    await Promise.all([b24.close(), b24.close()])
    expect((await first).answer?.status).toBe(200)
    expect((await second).error?.code).toBe('CLIENT_CLOSED')
    await expect(b24.call('server.time')).rejects.toMatchObject({ code: 'CLIENT_CLOSED' })
    await b24.close()
    expect(sandbox.stats()).toMatchObject({ requests: 1, writes: 1 })
  })
})

describe('a client', () => {
  it('refuses a bad address and a bad limit at once, without repeating the secret', () => {
    expect(() => createClient({ webhook: 'https://x.bitrix24.com/rest/s3cr3tcode/' })).toThrow(
      expect.objectContaining({
        code: 'WEBHOOK_INVALID',
        message: expect.not.stringContaining('s3cr3tcode'),
      }),
    )
    expect(() => createClient({ webhook: 'https://x.bitrix24.com/rest/1/abc/', limit: 'fast' })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    )
  })

  it('throws the portal’s own error, and a hint with those that people can mend', async () => {
    const { sandbox, b24 } = await open()
    sandbox.change({ scopes: { s3cr3t: ['user'] } })
    await expect(b24.call('crm.deal.get', { id: 1 })).rejects.toMatchObject({
      code: 'insufficient_scope',
      status: 401,
      hint: expect.stringContaining('right'),
    })
    const wrong = createClient({ webhook: sandbox.webhookUrl.replace('s3cr3t', 'gone'), limit: 'off' })
    await expect(wrong.call('user.current')).rejects.toMatchObject({
      code: 'INVALID_CREDENTIALS',
      status: 401,
    })
    await wrong.close()
  })

  it('never puts the secret of the webhook into an error', async () => {
    const { sandbox, b24 } = await open({}, { timeoutMs: 200, portalWaitMs: 0 })
    const seen: unknown[] = []
    for (const kind of ['reset', 'reset-after', 'status', 'html', 'truncate', 'hang'] as const) {
      sandbox.fault([{ kind, times: 0 }])
      seen.push((await b24.send('crm.deal.add', { fields: { TITLE: kind } })).error)
      sandbox.fault([])
      await b24.send('server.time')
    }
    await sandbox.close()
    seen.push((await b24.send('crm.deal.add', { fields: {} })).error)
    for (const error of seen) {
      expect(error).toBeInstanceOf(Error)
      const { message, stack, hint, context, cause } = error as Error & Record<string, unknown>
      expect(JSON.stringify([message, stack, hint, context, String(cause)])).not.toContain('s3cr3t')
    }
  })
})

describe('a thousand writes that keep coming while others are sent', () => {
  it('are each sent once', async () => {
    const { sandbox, b24 } = await open({ latencyMs: 3 }, { maxInFlight: 2 })
    const writes: Promise<CallSettled>[] = []
    const write = (i: number) => b24.send('crm.deal.add', { fields: { TITLE: `w${i}` } })
    for (let i = 0; i < 500; i++) writes.push(write(i))
    for (let i = 500; i < 1500; i++) {
      writes.push(write(i))
      if (i % 25 === 0) await sleep(2) // New ones come between the requests.
    }
    expect((await Promise.all(writes)).every(({ error }) => error === undefined)).toBe(true)
    const titles = sandbox.stats(undefined, true).log?.map(({ title }) => title) ?? []
    expect(titles).toHaveLength(1500)
    expect(new Set(titles).size).toBe(1500)
    expect(b24.stats().waiting).toBe(0)
  })
})
