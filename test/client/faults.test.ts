import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type Client, type ClientOptions, createClient } from '../../src/client/client.ts'
import { createSandbox, type Sandbox, type SandboxOptions } from '../../src/sandbox/index.ts'
import { scriptedPortal } from '../support/scripted-portal.ts'

async function open(
  sandboxOptions: SandboxOptions = {},
  clientOptions: Partial<ClientOptions> = {},
): Promise<{ sandbox: Sandbox; b24: Client }> {
  const sandbox = await createSandbox({ limits: 'off', ...sandboxOptions })
  const b24 = clientFor(sandbox.webhookUrl, clientOptions)
  onTestFinished(() => sandbox.close())
  return { sandbox, b24 }
}

function clientFor(webhook: string, options: Partial<ClientOptions> = {}): Client {
  const b24 = createClient({ webhook, limit: 'off', timeoutMs: 400, portalWaitMs: 3000, ...options })
  onTestFinished(() => b24.close())
  return b24
}

const add = (b24: Client, title: string) => b24.send('crm.deal.add', { fields: { TITLE: title } })
const get = (b24: Client, id = 1) => b24.send('crm.deal.get', { id })
const gets = (b24: Client, count: number) =>
  Promise.all(Array.from({ length: count }, (_, i) => get(b24, i + 1)))

describe('an answer that got lost', () => {
  it.each([
    ['the connection is reset before the call runs', { kind: 'reset' }, 0],
    ['the connection is reset after the call ran', { kind: 'reset-after' }, 1],
    ['the portal answers 502 with a page', { kind: 'status', status: 502 }, 0],
    ['the portal answers 504 with a page and ran it', { kind: 'status', status: 504, executed: true }, 1],
    ['the portal answers 200 with a page', { kind: 'html' }, 0],
    ['the JSON is cut', { kind: 'truncate' }, 1],
    ['nothing comes in time', { kind: 'hang' }, 0],
    ['the answer comes too late', { kind: 'slow', delayMs: 600 }, 1],
  ] as const)('repeats a read and leaves a write in doubt when %s', async (_, fault, writes) => {
    const { sandbox, b24 } = await open()
    sandbox.fault([{ ...fault, match: { method: 'crm.deal.add' } }])
    const written = await add(b24, 'once')
    expect(written.error).toMatchObject({ mayHaveRun: true, retryable: false })
    expect(sandbox.stats().writes).toBe(writes)

    sandbox.fault([{ ...fault, match: { method: 'crm.deal.get' } }])
    const read = await get(b24)
    expect(read.error).toBeUndefined()
    expect(read.answer).toMatchObject({ status: 200, attempts: 2 })
  })

  it('of a whole batch repeats its reads and repeats none of its writes', async () => {
    const { sandbox, b24 } = await open()
    sandbox.fault([{ kind: 'reset-after', match: { method: 'batch' } }])
    const [first, second, ...reads] = await Promise.all([add(b24, 'a'), add(b24, 'b'), get(b24), get(b24, 2)])
    for (const { error } of [first, second]) {
      expect(error).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: true })
    }
    for (const { error } of reads) expect(error).toBeUndefined()
    const titles = sandbox.stats(undefined, true).log?.map(({ title }) => title)
    expect(titles).toEqual(['a', 'b'])
  })

  it('cut in the middle of a batch doubles no write', async () => {
    const { sandbox, b24 } = await open()
    sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add', nth: 3 } }])
    const settled = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((title) => add(b24, title)))
    expect(settled.every(({ error }) => error?.mayHaveRun === true)).toBe(true)
    expect(sandbox.stats(undefined, true).log?.map(({ title }) => title)).toEqual(['a', 'b', 'c'])
  })

  it('again and again ends a read after three tries', async () => {
    const { sandbox, b24 } = await open()
    sandbox.fault([{ kind: 'reset', times: 0, match: { method: 'crm.deal.get' } }])
    expect((await get(b24)).error).toMatchObject({ code: 'CONNECTION_LOST' })
    expect(sandbox.stats().faults.reset).toBe(3)
  })

  it('is found where a batch answer says nothing of one of its commands', async () => {
    const portal = await scriptedPortal(({ method, commands }) => {
      if (method !== 'batch') return '{"result":"alone"}'
      const [known] = commands.filter(({ params }) => (params as { n: string }).n === '1')
      return `{"result":{"result":{${JSON.stringify(known?.key ?? 'x')}:"here"},"result_error":[]}}`
    })
    const b24 = clientFor(portal.webhook)
    const ask = (method: string, n: number) => b24.send(method, { n })
    const [here, write, read] = await Promise.all([ask('a.add', 1), ask('b.add', 2), ask('c.get', 3)])
    expect(here!.answer?.body.result).toBe('here')
    expect(write!.error).toMatchObject({ code: 'ANSWER_MISSING', mayHaveRun: true })
    expect(read!.answer?.body.result).toBe('alone')
  })

  it('is found where a batch is answered with something else', async () => {
    const portal = await scriptedPortal((_, index) => (index === 0 ? '{"result":[]}' : '{"result":1}'))
    const b24 = clientFor(portal.webhook)
    const [write, read] = await Promise.all([b24.send('a.add'), b24.send('a.get')])
    expect(write!.error).toMatchObject({ code: 'UNEXPECTED_ANSWER', mayHaveRun: true })
    expect(read!.error).toBeUndefined()
  })

  it('that is larger than we read is given up once, not asked for again', async () => {
    const portal = await scriptedPortal(() => `{"result":"${'x'.repeat(20_000)}"}`)
    const b24 = clientFor(portal.webhook, { maxResponseBytes: 10_000 })
    const { error } = await b24.send('crm.deal.list')
    expect(error).toMatchObject({ code: 'ANSWER_TOO_LARGE', mayHaveRun: true })
    expect(error?.hint).toMatch(/select|fewer/)
    expect(portal.requests).toHaveLength(1)
  })

  it('that is too large only together is asked for call by call', async () => {
    const portal = await scriptedPortal(({ commands }) => {
      const results = commands.map(({ key }) => `"${key}":"${'x'.repeat(6000)}"`)
      return commands.length === 0
        ? `{"result":"${'x'.repeat(6000)}"}`
        : `{"result":{"result":{${results.join(',')}},"result_error":[]}}`
    })
    const b24 = clientFor(portal.webhook, { maxResponseBytes: 10_000 })
    const settled = await Promise.all([b24.send('a.get'), b24.send('b.get')])
    expect(settled.map(({ error }) => error)).toEqual([undefined, undefined])
    expect(portal.requests.map(({ method }) => method).sort()).toEqual(['a.get', 'b.get', 'batch'])
  })
})

describe('limits of the portal', () => {
  it('are never passed: 400 calls at 5 places and 20 a second', async () => {
    const limits = { capacity: 5, drainPerSecond: 20 }
    const { sandbox, b24 } = await open({ limits, switches: { drain: 'continuous' } }, { limit: limits })
    const settled = await Promise.all(
      Array.from({ length: 400 }, (_, i) => b24.send('crm.deal.get', { id: 1 + (i % 60) })),
    )
    expect(settled.every(({ error }) => error === undefined)).toBe(true)
    expect(sandbox.stats().refused).toEqual({})
    expect(sandbox.stats().requests).toBeLessThanOrEqual(10)
  })

  it('are waited out when another program has used them up, and nothing counts as a try', async () => {
    const limits = { capacity: 4, drainPerSecond: 4 }
    const { sandbox, b24 } = await open({ limits, switches: { drain: 'continuous' } }, { limit: limits })
    for (let i = 0; i < 8; i++) {
      await fetch(`${sandbox.webhookUrl}server.time`)
    }
    const before = sandbox.stats().refused.QUERY_LIMIT_EXCEEDED ?? 0
    const settled = await Promise.all([add(b24, 'mine'), get(b24)])
    expect(settled.map(({ answer }) => answer?.attempts)).toEqual([1, 1])
    expect(sandbox.stats()).toMatchObject({ writes: 1 })
    expect(sandbox.stats().refused.QUERY_LIMIT_EXCEEDED! - before).toBe(1)
    expect(b24.stats().overLimit).toBe(1)
  })

  it('inside a batch put back only the call that was refused', async () => {
    const { sandbox, b24 } = await open()
    sandbox.fault([{ kind: 'refuse', match: { method: 'crm.deal.add', nth: 2 } }])
    const settled = await Promise.all(['a', 'b', 'c'].map((title) => add(b24, title)))
    expect(settled.map(({ answer }) => answer?.attempts)).toEqual([1, 1, 1])
    const titles = sandbox.stats(undefined, true).log?.map(({ title }) => title)
    expect(titles).toEqual(['a', 'c', 'b'])
  })

  it('of operating time park one method while the others go on', async () => {
    const { sandbox, b24 } = await open({
      costs: { 'crm.deal.list': 20 },
      switches: { operatingLimitSeconds: 30 },
    })
    const list = () => b24.send('crm.deal.list', {}, { deadlineMs: 1000 })
    expect([(await list()).error, (await list()).error]).toEqual([undefined, undefined])
    const parked = list()
    expect((await gets(b24, 10)).every(({ error }) => error === undefined)).toBe(true)
    expect((await parked).error?.code).toBe('DEADLINE_EXCEEDED')
    expect(sandbox.stats().refused).toEqual({ OPERATION_TIME_LIMIT: 1 })
    expect(sandbox.stats().commands['crm.deal.get']).toBe(10)
  })

  it('of operating time are kept by ourselves before the portal has to refuse', async () => {
    const { sandbox, b24 } = await open(
      { costs: { 'crm.deal.list': 12 }, switches: { operatingLimitSeconds: 30 } },
      { operatingLimitSeconds: 30 },
    )
    for (let i = 0; i < 4; i++) await b24.send('crm.deal.list', {}, { deadlineMs: 200 })
    expect(sandbox.stats().refused).toEqual({})
    expect(sandbox.stats().commands['crm.deal.list']).toBe(3)
    expect(b24.stats().operatingShare).toBeGreaterThan(0.95)
  })
})

describe('a portal that is down', () => {
  it('is waited for, writes included, and is called once it is back', async () => {
    const port = await freePort()
    const b24 = clientFor(`http://127.0.0.1:${port}/rest/1/s3cr3t/`)
    const calls = Promise.all([add(b24, 'later'), get(b24)])
    await sleep(300) // The portal stays away for a while.
    expect(b24.stats().trouble).toBe('CONNECT_FAILED')
    const sandbox = await createSandbox({ port, limits: 'off' })
    onTestFinished(() => sandbox.close())
    expect((await calls).map(({ error }) => error)).toEqual([undefined, undefined])
    expect(sandbox.stats().writes).toBe(1)
    expect(b24.stats().trouble).toBeUndefined()
  })

  it('is given up after the set time, and the calls surely did not run', async () => {
    const b24 = clientFor(`http://127.0.0.1:${await freePort()}/rest/1/s3cr3t/`, { portalWaitMs: 500 })
    const began = performance.now()
    const { error } = await add(b24, 'never')
    expect(error).toMatchObject({ code: 'PORTAL_UNREACHABLE', mayHaveRun: false, retryable: true })
    expect(performance.now() - began).toBeGreaterThan(450)
    expect(performance.now() - began).toBeLessThan(2000)
  })

  it('for good is said with the portal’s own word', async () => {
    const { sandbox, b24 } = await open({}, { portalWaitMs: 300 })
    sandbox.change({ stopped: true })
    const settled = await Promise.all([add(b24, 'x'), get(b24)])
    for (const { error } of settled)
      expect(error).toMatchObject({ code: 'PORTAL_DELETED', mayHaveRun: false })
    expect(sandbox.stats().requests).toBeLessThanOrEqual(2)
  })

  it('whose credential was blocked by hand is asked no more', async () => {
    const { sandbox, b24 } = await open({}, { portalWaitMs: 300 })
    sandbox.change({ overloaded: ['s3cr3t'] })
    expect((await get(b24)).error).toMatchObject({ code: 'OVERLOAD_LIMIT' })
    expect((await get(b24)).error).toMatchObject({ code: 'OVERLOAD_LIMIT' })
    expect(sandbox.stats().requests).toBe(1)
  })
})

describe('a renamed portal', () => {
  it('is followed once, with the same POST, and its new address is kept', async () => {
    const renamed: string[] = []
    const { sandbox, b24 } = await open({ host: '0.0.0.0' }, { onRenamed: (origin) => renamed.push(origin) })
    await get(b24)
    sandbox.rename('127.0.0.2')
    expect((await add(b24, 'moved')).error).toBeUndefined()
    expect((await get(b24)).error).toBeUndefined()
    expect(renamed).toEqual([sandbox.url.replace('127.0.0.1', '127.0.0.2')])
    expect(sandbox.stats()).toMatchObject({ writes: 1, requests: 3 })
  })

  it('is followed by every request that was under way when it moved', async () => {
    const { sandbox, b24 } = await open({ host: '0.0.0.0' }, { maxInFlight: 10 })
    sandbox.rename('127.0.0.2')
    const settled = await Promise.all(
      Array.from({ length: 8 }, (_, i) => b24.send('sandbox.echo', { list: [], i })),
    )
    expect(settled.map(({ error }) => error)).toEqual(Array(8).fill(undefined))
  })

  it.each([
    ['a foreign host', 'http://example.com/rest/1/s3cr3t/crm.deal.add'],
    ['itself', '/rest/1/s3cr3t/crm.deal.add'],
    ['nowhere', undefined],
  ])('that redirects to %s gets no credential and a clear error; nothing ran', async (_, location) => {
    const portal = await scriptedPortal(() => ({
      status: 302,
      ...(location === undefined ? {} : { headers: { location } }),
    }))
    const b24 = clientFor(portal.webhook)
    const { error } = await add(b24, 'x')
    expect(error).toMatchObject({ code: 'PORTAL_MOVED', mayHaveRun: false })
    expect(portal.requests).toHaveLength(1)
  })

  it('that sends us round in a circle is not followed for ever; nothing ran', async () => {
    const portal = await scriptedPortal((_, index) => ({
      status: 302,
      headers: { location: `http://127.0.0.${2 + index}:1/rest/` },
    }))
    const there = await scriptedPortal(() => ({ status: 302, headers: { location: portal.url } }))
    const b24 = clientFor(
      (await scriptedPortal(() => ({ status: 302, headers: { location: there.url } }))).webhook,
    )
    const { error } = await add(b24, 'x')
    expect(error).toMatchObject({ code: 'PORTAL_MOVED', mayHaveRun: false })
    expect(there.requests).toHaveLength(1)
    expect(portal.requests).toHaveLength(0)
  })
})

describe('a method that may not be part of a batch', () => {
  it('is called again alone when the portal says so, and its neighbours are not', async () => {
    const portal = await scriptedPortal(({ method, commands }) => {
      if (method !== 'batch') return `{"result":"${method} alone"}`
      const entry = (wanted: boolean, text: string) =>
        commands
          .filter((command) => (command.method === 'im.odd.add') === wanted)
          .map(({ key }) => `"${key}":${text}`)
          .join(',')
      const refusal = '{"error":"ERROR_BATCH_METHOD_NOT_ALLOWED","error_description":"no"}'
      return `{"result":{"result":{${entry(false, '"together"')}},"result_error":{${entry(true, refusal)}}}}`
    })
    const b24 = clientFor(portal.webhook)
    const settled = await Promise.all([b24.send('a.add'), b24.send('im.odd.add'), b24.send('b.add')])
    expect(settled.map(({ answer }) => answer?.body.result)).toEqual([
      'together',
      'im.odd.add alone',
      'together',
    ])
    expect(portal.requests).toHaveLength(2)
  })

  it('makes each call travel alone when the portal refuses the batch as a whole', async () => {
    const portal = await scriptedPortal(({ method }) =>
      method === 'batch'
        ? { status: 400, text: '{"error":"ERROR_BATCH_LENGTH_EXCEEDED","error_description":"x"}' }
        : `{"result":"${method}"}`,
    )
    const b24 = clientFor(portal.webhook)
    const settled = await Promise.all([b24.send('a.add'), b24.send('b.add')])
    expect(settled.map(({ answer }) => answer?.body.result)).toEqual(['a.add', 'b.add'])
  })
})

/** A port where nothing listens. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise((resolve) => server.close(resolve))
  return port
}
