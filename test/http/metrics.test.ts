import { expect, it } from 'vitest'
import type { SettledReport } from '../../src/bridge/commands/report.ts'
import type { LaneStats } from '../../src/client/lane/core.ts'
import { METRICS } from '../../src/http/metric-list.ts'
import { createMetrics, type Metrics } from '../../src/http/metrics.ts'
import { ask, post, running } from './running.ts'

const SETTLED: SettledReport = {
  queue: 'b24.commands',
  contract: 'native',
  messageId: 'm1',
  portal: 'example.bitrix24.com',
  action: 'call',
  method: 'crm.deal.get',
  outcome: 'done',
  status: 200,
  code: undefined,
  attempts: 1,
  redelivered: false,
  replayed: false,
  ms: 40,
}
const IDLE: LaneStats = {
  waiting: 0,
  inFlight: 0,
  requests: 0,
  bucketLevel: 0,
  overLimit: 0,
  operatingShare: 0,
  trouble: undefined,
  restMs: 0,
}
const BROKER = { connected: true, blocked: false, unconfirmed: 3, reconnects: 2 }

/** Reads the text format of Prometheus strictly: every line is a comment or a sample. */
function parseMetrics(text: string): Map<string, number> {
  const samples = new Map<string, number>()
  const types = new Map<string, string>()
  for (const line of text.split('\n')) {
    if (line === '' || line.startsWith('# HELP ')) continue
    const type = /^# TYPE (\w+) (counter|gauge|histogram|summary)$/.exec(line)
    if (type !== null) {
      types.set(type[1]!, type[2]!)
      continue
    }
    const sample = /^([a-z_]\w*)(\{(?:\w+="(?:[^"\\\n]|\\.)*",?)*\})? (-?[\d.e+-]+|Nan|\+Inf)$/.exec(line)
    expect(sample, line).not.toBeNull()
    expect(types.has(sample![1]!) || types.has(sample![1]!.replace(/_(?:bucket|sum|count)$/, '')), line).toBe(
      true,
    )
    samples.set(`${sample![1]}${sample![2] ?? ''}`, Number(sample![3]))
  }
  return samples
}

async function read(metrics: Metrics): Promise<Map<string, number>> {
  return parseMetrics(await metrics.text())
}

function quiet(): Metrics {
  return createMetrics({ processMetrics: false })
}

it('counts commands by how they ended and what they were', async () => {
  const metrics = quiet()
  metrics.settled(SETTLED)
  metrics.settled({ ...SETTLED, replayed: true })
  metrics.settled({ ...SETTLED, method: 'crm.deal.add', outcome: 'unknown' })
  metrics.settled({ ...SETTLED, action: 'list', method: 'crm.deal.list', outcome: 'requeued' })
  metrics.settled({ ...SETTLED, action: undefined, method: undefined, outcome: 'failed' })
  const samples = await read(metrics)
  expect(samples.get('b24_commands_total{outcome="done",class="read"}')).toBe(2)
  expect(samples.get('b24_commands_total{outcome="unknown",class="write"}')).toBe(1)
  expect(samples.get('b24_commands_total{outcome="requeued",class="list"}')).toBe(1)
  expect(samples.get('b24_commands_total{outcome="failed",class="invalid"}')).toBe(1)
  expect(samples.get('b24_commands_total{outcome="unknown",class="batch"}')).toBe(0)
  expect(samples.get('b24_commands_replayed_total')).toBe(1)
  expect(samples.get('b24_command_duration_seconds_count{class="read"}')).toBe(2)
  expect(samples.get('b24_command_duration_seconds_bucket{le="0.05",class="read"}')).toBe(2)
  expect(samples.has('b24_command_duration_seconds_count{class="list"}')).toBe(false)
})

it('counts requests to portals, and bounds the codes that portals make up', async () => {
  const metrics = quiet()
  metrics.request('a.bitrix24.com', { calls: 50, ms: 300, status: 200 })
  metrics.request('a.bitrix24.com', { calls: 1, ms: 10, status: 503, error: 'QUERY_LIMIT_EXCEEDED' })
  metrics.request('a.bitrix24.com', { calls: 1, ms: 10, status: 0, error: 'CONNECT_FAILED' })
  metrics.request('a.bitrix24.com', { calls: 1, ms: 10, status: 400, error: 'Deal "x" is not found!' })
  for (let i = 0; i < 200; i++)
    metrics.request('a.bitrix24.com', { calls: 1, ms: 10, status: 400, error: `CODE_${i}` })
  const samples = await read(metrics)
  const of = (status: string, code: string) =>
    samples.get(`b24_http_requests_total{status_class="${status}",error_code="${code}"}`)
  expect(of('2xx', 'none')).toBe(1)
  expect(of('5xx', 'QUERY_LIMIT_EXCEEDED')).toBe(1)
  expect(of('none', 'CONNECT_FAILED')).toBe(1)
  expect(of('4xx', 'other')).toBe(1 + 200 - 48)
  expect(samples.get('b24_batch_size_bucket{le="40"}')).toBe(203)
  expect(samples.get('b24_batch_size_sum')).toBe(253)
})

it('reads gauges when it is asked, the latest source only', async () => {
  const metrics = quiet()
  let overLimit = 4
  metrics.gauges(() => {
    throw new Error('replaced')
  })
  metrics.gauges(() => ({
    broker: BROKER,
    inHand: 7,
    oldestMs: 1500,
    deadLetters: 3,
    lanes: [
      { domain: 'a', stats: { ...IDLE, waiting: 2, inFlight: 1, bucketLevel: 12.5, overLimit } },
      { domain: 'b', stats: { ...IDLE, waiting: 9, operatingShare: 0.5 } },
      { domain: 'c', stats: { ...IDLE, trouble: 'PORTAL_DELETED' } },
    ],
  }))
  await read(metrics)
  overLimit = 6
  const samples = await read(metrics)
  expect(Object.fromEntries([...samples].filter(([name]) => !name.includes('_command')))).toMatchObject({
    b24_calls_waiting: 11,
    b24_http_inflight: 1,
    'b24_lanes{state="ready"}': 1,
    'b24_lanes{state="throttled"}': 1,
    'b24_lanes{state="blocked"}': 1,
    'b24_rate_limited_total{by="portal"}': 6,
    b24_bucket_level: 12.5,
    b24_operating_ratio_max: 0.5,
    b24_amqp_connected: 1,
    b24_amqp_blocked: 0,
    b24_amqp_unconfirmed: 3,
    b24_amqp_reconnects_total: 2,
  })
  expect(samples.get('b24_commands_in_hand')).toBe(7)
  expect(samples.get('b24_command_oldest_age_seconds')).toBe(1.5)
})

it('serves on /metrics exactly the metrics of the list, and no portal among them', async () => {
  const server = await running()
  server.metrics.settled(SETTLED)
  server.metrics.request('example.bitrix24.com', { calls: 1, ms: 1, status: 200 })
  server.metrics.deadLetter('BODY_NOT_JSON')
  server.metrics.gauges(() => ({
    broker: BROKER,
    inHand: 0,
    deadLetters: 0,
    lanes: [{ domain: 'example.bitrix24.com', stats: IDLE }],
  }))
  await post(server, { method: 'crm.deal.get' })
  await ask(`${server.url}/v1/commands/nothing`)
  const answer = await ask(`${server.url}/metrics`, { headers: { authorization: '' } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('content-type')).toContain('text/plain; version=0.0.4')
  const samples = parseMetrics(answer.text)
  expect(samples.get('b24_dead_letters_total{reason="BODY_NOT_JSON"}')).toBe(1)
  expect(samples.get('b24_api_requests_total{route="/v1/commands",status="200"}')).toBe(1)
  expect(samples.get('b24_api_requests_total{route="/v1/commands/:id",status="404"}')).toBe(1)
  const names = [...answer.text.matchAll(/^# TYPE (\w+)/gm)].map((match) => match[1])
  expect(names.sort()).toEqual(METRICS.map(({ name }) => name as string).sort())
  expect(answer.text).not.toContain('example.bitrix24.com')
})

it('adds memory, CPU and event loop of the process unless told not to', async () => {
  const text = await createMetrics().text()
  expect(text).toContain('process_resident_memory_bytes')
  expect(text).toContain('nodejs_eventloop_lag_p99_seconds')
  parseMetrics(text)
})
