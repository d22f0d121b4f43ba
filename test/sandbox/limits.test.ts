import { describe, expect, it } from 'vitest'
import { createSandbox, type Sandbox } from '../../src/sandbox/index.ts'
import { ask, frozenClock, open, type Reply } from './ask.ts'

async function burst(
  sandbox: Sandbox,
  count: number,
  headers: Record<string, string> = {},
): Promise<number[]> {
  const statuses: number[] = []
  for (let i = 0; i < count; i++) statuses.push((await ask(sandbox, 'server.time', {}, { headers })).status)
  return statuses
}

const good = (count: number) => Array.from({ length: count }, () => 200)

/** The plan's own limits, not the test helper's. */
const limited = (plan: 'standard' | 'enterprise') => ({
  ...frozenClock(),
  limits: plan === 'standard' ? { capacity: 50, drainPerSecond: 2 } : { capacity: 250, drainPerSecond: 5 },
})

// https://apidocs.bitrix24.com/limits.html
describe('the request counter', () => {
  it('refuses the 52nd request of a burst and lets two through a second later', async () => {
    const sandbox = await open(limited('standard'))
    expect(await burst(sandbox, 52)).toEqual([...good(51), 503])
    const refused = await ask(sandbox, 'server.time')
    expect(refused.body).toEqual({ error: 'QUERY_LIMIT_EXCEEDED', error_description: 'Too many requests' })
    expect(refused.headers['retry-after']).toBeUndefined()
    sandbox.advance(1000)
    expect(await burst(sandbox, 3)).toEqual([200, 200, 503])
    sandbox.advance(999)
    expect(await burst(sandbox, 1)).toEqual([503])
    expect(sandbox.stats()).toMatchObject({
      requests: 57,
      peakLevel: 51,
      refused: { QUERY_LIMIT_EXCEEDED: 4 },
    })
  })

  it('shows the level of the moment, also while no request comes', async () => {
    const sandbox = await open(limited('standard'))
    await burst(sandbox, 20)
    expect(sandbox.stats().level).toBe(20)
    sandbox.advance(3000)
    expect(sandbox.stats()).toMatchObject({ level: 14, peakLevel: 20 })
  })

  it('is that of the standard plan unless told otherwise', async () => {
    await using sandbox = await createSandbox(frozenClock())
    expect(await burst(sandbox, 52)).toEqual([...good(51), 503])
  })

  it('is empty again after 26 seconds of rest', async () => {
    const sandbox = await open(limited('standard'))
    await burst(sandbox, 52)
    sandbox.advance(26_000)
    expect(await burst(sandbox, 52)).toEqual([...good(51), 503])
  })

  it('is wider on the enterprise plan and drains five a second', async () => {
    const sandbox = await open(limited('enterprise'))
    expect(await burst(sandbox, 252)).toEqual([...good(251), 503])
    sandbox.advance(1000)
    expect(await burst(sandbox, 6)).toEqual([...good(5), 503])
  })

  it('is shared by all credentials of an address, not by addresses and not by portals', async () => {
    const sandbox = await open({ ...limited('standard'), host: '0.0.0.0' })
    sandbox.change({ scopes: { second: ['crm'] } })
    await burst(sandbox, 51)
    const base = `${sandbox.url}/rest/1/second/`
    expect((await ask(sandbox, 'server.time', {}, { base })).status).toBe(503)
    expect(await burst(sandbox, 1, { 'x-forwarded-for': '10.0.0.9' })).toEqual([200])
    const other = sandbox.webhookUrl.replace('127.0.0.1', '127.0.0.2')
    expect((await ask(sandbox, 'server.time', {}, { base: other })).status).toBe(200)
  })

  it('counts a batch of fifty as one', async () => {
    const sandbox = await open(limited('standard'))
    const cmd = Array.from({ length: 50 }, () => 'server.time')
    for (let i = 0; i < 51; i++) expect((await ask(sandbox, 'batch', { cmd })).status).toBe(200)
    expect((await ask(sandbox, 'batch', { cmd })).status).toBe(503)
    expect(sandbox.stats().commands).toEqual({ batch: 51, 'server.time': 2550 })
  })

  it('can drain continuously and count refusals', async () => {
    const smooth = await open({
      ...limited('standard'),
      switches: { drain: 'continuous', refusalsCount: true },
    })
    expect(await burst(smooth, 52)).toEqual([...good(51), 503])
    smooth.advance(500)
    expect(await burst(smooth, 1)).toEqual([503])
    smooth.advance(2000)
    expect(await burst(smooth, 4)).toEqual([200, 200, 200, 503])
  })

  it.each([
    ['standard', 52, 1],
    ['enterprise', 52, 0],
    ['self-hosted', 52, 0],
  ] as const)('of the plan %s refuses %i requests in the expected measure', async (plan, count, refused) => {
    const sandbox = await open({ ...frozenClock() })
    sandbox.change({ plan })
    expect((await burst(sandbox, count)).filter((status) => status === 503).length).toBe(refused)
  })
})

// https://apidocs.bitrix24.com/limits.html
describe('operating time', () => {
  const slow = { ...frozenClock(), costs: { 'crm.deal.list': 20 } }
  const repeat = async (sandbox: Sandbox, count: number): Promise<Reply> => {
    for (let i = 1; i < count; i++) await ask(sandbox, 'crm.deal.list')
    return ask(sandbox, 'crm.deal.list')
  }

  it('grows to the limit, passes it once and then blocks that method of that credential', async () => {
    const sandbox = await open(slow)
    sandbox.change({ scopes: { second: ['crm'] } })
    expect((await repeat(sandbox, 24)).body.time.operating).toBe(480)
    const last = await repeat(sandbox, 1)
    expect([last.status, last.body.time.operating]).toEqual([200, 500])
    expect(last.body.time.operating_reset_at).toBe(Math.floor(slow.now() / 1000) + 600)
    const blocked = await repeat(sandbox, 1)
    expect(blocked.status).toBe(429)
    expect(blocked.body).toEqual({
      error: 'OPERATION_TIME_LIMIT',
      error_description: 'Method is blocked due to operation time limit.',
    })
    expect((await ask(sandbox, 'crm.lead.list')).status).toBe(200)
    expect((await ask(sandbox, 'crm.deal.list', {}, { base: `${sandbox.url}/rest/1/second/` })).status).toBe(
      200,
    )
    sandbox.advance(599_000)
    expect((await repeat(sandbox, 1)).status).toBe(429)
    sandbox.advance(1000)
    expect((await repeat(sandbox, 1)).body.time.operating).toBe(20)
  })

  it('falls by the oldest minute only', async () => {
    const sandbox = await open(slow)
    await repeat(sandbox, 2)
    sandbox.advance(60_000)
    const later = await repeat(sandbox, 23)
    expect(later.body.time).toMatchObject({ operating: 500, duration: 20 })
    expect(later.body.time.operating_reset_at).toBe(Math.floor(slow.now() / 1000) + 600)
    sandbox.advance(540_000)
    expect((await repeat(sandbox, 1)).body.time.operating).toBe(480)
  })

  it('blocks single commands of a batch, whose own operating time is 0', async () => {
    const sandbox = await open(slow)
    await repeat(sandbox, 25)
    const { status, body } = await ask(sandbox, 'batch', { cmd: { a: 'crm.deal.list', b: 'crm.lead.list' } })
    expect(status).toBe(200)
    expect(body.result.result_error.a.error).toBe('OPERATION_TIME_LIMIT')
    expect(Object.keys(body.result.result)).toEqual(['b'])
    expect(body.result.result_time.b.operating).toBe(0)
    expect(body.time.operating).toBe(0)
  })

  it('sums quick commands of one request before it forgets what is below a tenth of a second', async () => {
    const sandbox = await open({ ...frozenClock(), costs: { 'crm.deal.get': 0.05 } })
    expect((await ask(sandbox, 'crm.deal.get', { id: 1 })).body.time.operating).toBe(0)
    const cmd = Array.from({ length: 4 }, () => 'crm.deal.get?id=1')
    const { body } = await ask(sandbox, 'batch', { cmd })
    expect(body.result.result_time.at(-1).operating).toBeCloseTo(0.2)
    expect((await ask(sandbox, 'crm.deal.get', { id: 1 })).body.time.operating).toBeCloseTo(0.2)
  })

  it('is missing from the answers of a self-hosted portal', async () => {
    const sandbox = await open({ ...slow, plan: 'self-hosted' })
    const { body } = await repeat(sandbox, 30)
    expect(Object.keys(body.time)).not.toContain('operating')
    expect(Object.keys(body.time)).not.toContain('operating_reset_at')
  })
})

// https://apidocs.bitrix24.com/limits.html
describe('the cut after a minute', () => {
  it('ends a slow write with 504 and a page, though it was applied', async () => {
    const sandbox = await open({ costs: { 'crm.deal.add': 61 }, deals: 0 })
    const { status, headers, body } = await ask(sandbox, 'crm.deal.add', { fields: { TITLE: 'slow' } })
    expect([status, headers['content-type'], body]).toEqual([504, 'text/html; charset=utf-8', undefined])
    expect((await ask(sandbox, 'crm.deal.list')).body.total).toBe(1)
  })

  it('leaves the later commands of a batch undone', async () => {
    const sandbox = await open({ costs: { 'crm.deal.add': 25 }, deals: 0 })
    const cmd = Array.from({ length: 5 }, (_, i) => `crm.deal.add?fields[TITLE]=${i}`)
    expect((await ask(sandbox, 'batch', { cmd })).status).toBe(504)
    expect(sandbox.stats('127.0.0.1', true).log?.map((write) => write.title)).toEqual(['0', '1', '2'])
  })

  it('comes after real time when costs take time', async () => {
    const sandbox = await open({ costs: { profile: 0.2 }, cutMs: 100, switches: { costsTakeTime: true } })
    expect((await ask(sandbox, 'profile')).status).toBe(504)
    const patient = await open({ costs: { profile: 0.1 }, latencyMs: 50, switches: { costsTakeTime: true } })
    const started = performance.now()
    expect((await ask(patient, 'profile')).status).toBe(200)
    expect(performance.now() - started).toBeGreaterThan(140)
  })
})
