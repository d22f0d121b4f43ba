import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LaneCore } from '../../../src/client/lane/core.ts'
import type { LaneRequest, Verdict } from '../../../src/client/lane/exchange.ts'
import { MAX_BATCH } from '../../../src/client/lane/plan.ts'
import type { CallSettled, LaneCall } from '../../../src/client/lane/work.ts'
import type { Priority } from '../../../src/model/call.ts'
import { RestError, ThrottledError, TransportError } from '../../../src/model/errors.ts'
import type { RequestLimit } from '../../../src/model/limits.ts'
import { parseWebhook, webhookCredential } from '../../../src/model/webhook.ts'

/**
 * The lane core under a virtual clock: random arrivals, a portal that counts by its own rules (steps of one second
 * with a random phase, as https://apidocs.bitrix24.com/limits.html has it), random latency and random trouble.
 */

interface Arrival {
  readonly at: number
  readonly size: number
  readonly priority: Priority
  readonly source: number
  readonly orderKey: number | null
  readonly kind: 'read' | 'write' | 'solo' | 'isolated'
}

const arrival: fc.Arbitrary<Arrival> = fc.record({
  at: fc.nat(20_000),
  size: fc.oneof(
    { weight: 8, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.integer({ min: 2, max: 50 }) },
  ),
  priority: fc.constantFrom<Priority>('urgent', 'normal', 'bulk'),
  source: fc.nat(3),
  orderKey: fc.oneof({ weight: 3, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.nat(4) }),
  kind: fc.constantFrom('read', 'read', 'write', 'solo', 'isolated'),
})

const METHODS = {
  read: 'crm.deal.get',
  write: 'crm.deal.add',
  solo: 'task.item.add',
  isolated: 'crm.deal.get',
}

interface Scenario {
  readonly limit: RequestLimit
  readonly arrivals: readonly Arrival[]
  readonly latencies: readonly number[]
  readonly phase: number
  /** One number a request: what the portal does with it. */
  readonly fates: readonly number[]
}

const scenario = (trouble: boolean): fc.Arbitrary<Scenario> =>
  fc.record({
    limit: fc.constantFrom(
      { capacity: 50, drainPerSecond: 2 },
      { capacity: 250, drainPerSecond: 5 },
      { capacity: 6, drainPerSecond: 2 },
    ),
    arrivals: fc.array(arrival, { minLength: 1, maxLength: 150 }),
    latencies: fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 7 }),
    phase: fc.nat(999),
    fates: trouble ? fc.array(fc.nat(99), { minLength: 1, maxLength: 60 }) : fc.constant([99]),
  })

interface Life {
  readonly arrival: Arrival
  readonly number: number
  sentAt: number[]
  endedAt: number | undefined
  settled: readonly CallSettled[]
  ends: number
}

interface Run {
  readonly lives: readonly Life[]
  readonly refused: number
  readonly sizes: readonly number[]
  readonly overlapping: boolean
}

/** Plays a scenario to its end, at most a virtual day. */
function play({ limit, arrivals, latencies, phase, fates }: Scenario): Run {
  const webhook = webhookCredential(parseWebhook('https://example.bitrix24.com/rest/1/abc/'))
  let now = 0
  let prefixes = 0
  const core = new LaneCore({
    limit,
    credential: webhook,
    settings: {
      maxInFlight: 10,
      lingerMs: 20,
      maxBatchSeconds: 20,
      maxBatchBytes: 1 << 20,
      bulkReserve: Math.min(5, limit.capacity / 10),
      agingMs: 10_000,
    },
    operatingLimitSeconds: 480,
    portalWaitMs: 86_400_000,
    quietMs: 75_000,
    maxAttempts: 3,
    newPrefix: () => `k${prefixes++}_`,
    initialLevel: 0,
    now,
  })
  const lives: Life[] = []
  const queue = [...arrivals].sort((a, b) => a.at - b.at)
  const underWay: { request: LaneRequest; endsAt: number; fate: number }[] = []
  const sizes: number[] = []
  const keysUnderWay = new Set<number>()
  let portalLevel = 0
  let portalTick = phase
  let refused = 0
  let sent = 0
  let overlapping = false

  const arriveDue = (): void => {
    while (queue[0] !== undefined && queue[0].at <= now) {
      const one = queue.shift() as Arrival
      const life: Life = {
        arrival: one,
        number: lives.length,
        sentAt: [],
        endedAt: undefined,
        settled: [],
        ends: 0,
      }
      lives.push(life)
      const size = one.kind === 'solo' ? 1 : one.size
      const calls = Array.from({ length: size }, (_, i) => ({
        method: METHODS[one.kind],
        params: { id: life.number },
        ...(one.kind === 'isolated' ? { name: `c${i}` } : {}),
      }))
      core.add(
        {
          calls,
          isolated: one.kind === 'isolated',
          options: {
            priority: one.priority,
            source: `s${one.source}`,
            ...(one.orderKey === null ? {} : { orderKey: String(one.orderKey) }),
          },
        },
        now,
        (settled) => {
          life.endedAt = now
          life.settled = settled
          life.ends++
        },
      )
    }
  }

  const lifeOf = (request: LaneRequest): Life[] =>
    request.items.map((item) => lives[((item.work.calls[0] as LaneCall).params as { id: number }).id] as Life)

  const answer = (request: LaneRequest, fate: number): void => {
    for (const {
      arrival: { orderKey },
    } of lifeOf(request))
      if (orderKey !== null) keysUnderWay.delete(orderKey)
    if (fate < 5)
      core.failed(request, new TransportError('CONNECT_FAILED', 'refused', { sent: false }), 100, now)
    else if (fate < 8)
      core.failed(request, new TransportError('CONNECTION_LOST', 'reset', { sent: 'maybe' }), 100, now)
    else if (fate === 98 && request.calls.length > 1) {
      core.failed(request, new RestError('ERROR', 'too much at once', 400), 100, now)
    } else if (fate < 12) core.failed(request, new ThrottledError('QUERY_LIMIT_EXCEEDED', '', 503), 100, now)
    else {
      const verdicts = request.calls.map((_, i): Verdict => {
        if (fate < 20 && i === 0)
          return { status: 429, error: new ThrottledError('OPERATION_TIME_LIMIT', '', 429) }
        return {
          status: 200,
          body: { result: true, time: { duration: 0.01, operating: 1, operating_reset_at: 600, finish: 0 } },
        }
      })
      core.answered(request, verdicts, 100, now)
    }
  }

  for (let step = 0; step < 20_000; step++) {
    while (portalTick <= now) {
      portalLevel = Math.max(0, portalLevel - limit.drainPerSecond)
      portalTick += 1000
    }
    for (const due of underWay.filter(({ endsAt }) => endsAt <= now)) {
      underWay.splice(underWay.indexOf(due), 1)
      answer(due.request, due.fate)
    }
    arriveDue()
    let next = core.plan(now)
    while (next.kind === 'send') {
      const request = core.take(next.picks, now)
      sizes.push(request.calls.length)
      for (const life of lifeOf(request)) {
        life.sentAt.push(now)
        const { orderKey } = life.arrival
        if (orderKey === null) continue
        if (keysUnderWay.has(orderKey)) overlapping = true
        keysUnderWay.add(orderKey)
      }
      if (portalLevel > limit.capacity) refused++
      portalLevel++
      underWay.push({
        request,
        endsAt: now + (latencies[sent % latencies.length] as number),
        fate: fates[sent % fates.length] as number,
      })
      sent++
      next = core.plan(now)
    }
    const times = [
      queue[0]?.at,
      ...underWay.map(({ endsAt }) => endsAt),
      next.kind === 'wait' && next.ms !== undefined ? now + next.ms : undefined,
    ]
    const soonest = Math.min(...times.filter((time) => time !== undefined))
    if (!Number.isFinite(soonest)) break
    now = Math.max(now, soonest)
  }
  return { lives, refused, sizes, overlapping }
}

describe('the lane planner', () => {
  test('never brings the portal over its limit, however its counter ticks', () => {
    fc.assert(
      fc.property(scenario(false), (given) => {
        expect(play(given).refused).toBe(0)
      }),
      { numRuns: 60 },
    )
  })

  test('never puts more than 50 calls into a request', () => {
    fc.assert(
      fc.property(scenario(true), (given) => {
        for (const size of play({ ...given, fates: [...given.fates, 99] }).sizes)
          expect(size).toBeLessThanOrEqual(MAX_BATCH)
      }),
      { numRuns: 60 },
    )
  })

  test('ends every call exactly once, whatever the portal does', () => {
    fc.assert(
      fc.property(scenario(true), (given) => {
        // A portal that always fails would be waited for; give it a good answer now and then.
        for (const life of play({ ...given, fates: [...given.fates, 99] }).lives) {
          expect(life.ends).toBe(1)
          expect(life.settled).toHaveLength(life.arrival.kind === 'solo' ? 1 : life.arrival.size)
          for (const one of life.settled) expect(one.answer ?? one.error).toBeDefined()
        }
      }),
      { numRuns: 60 },
    )
  })

  test('runs calls of one order key one after another, in arrival order', () => {
    fc.assert(
      fc.property(scenario(true), (given) => {
        const run = play({ ...given, fates: [...given.fates, 99] })
        expect(run.overlapping).toBe(false)
        for (const key of [0, 1, 2, 3, 4]) {
          const chain = run.lives.filter(({ arrival: { orderKey } }) => orderKey === key)
          for (let i = 1; i < chain.length; i++) {
            expect(chain[i]?.sentAt[0]).toBeGreaterThanOrEqual(chain[i - 1]?.endedAt as number)
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('never sends a write twice once it may have run', () => {
    fc.assert(
      fc.property(scenario(true), (given) => {
        const fates = given.fates.map((fate) => (fate >= 5 && fate < 20 ? 6 : 99))
        for (const life of play({ ...given, fates: [...fates, 99] }).lives) {
          if (life.arrival.kind === 'write' || life.arrival.kind === 'solo')
            expect(life.sentAt).toHaveLength(1)
        }
      }),
      { numRuns: 60 },
    )
  })

  test('ends every call of a portal that refuses every request of more than one', () => {
    fc.assert(
      fc.property(scenario(false), (given) => {
        const run = play({ ...given, limit: { capacity: 250, drainPerSecond: 5 }, fates: [98] })
        for (const life of run.lives) expect(life.ends).toBe(1)
      }),
      { numRuns: 30 },
    )
  })

  test('sends each of two thousand writes that stand waiting exactly once', () => {
    const arrivals: Arrival[] = Array.from({ length: 2000 }, (_, i) => ({
      at: 0,
      size: 1,
      priority: 'normal',
      source: i % 3,
      orderKey: null,
      kind: 'write',
    }))
    const limit = { capacity: 50, drainPerSecond: 2 }
    const { lives } = play({ limit, arrivals, latencies: [700, 100], phase: 0, fates: [99] })
    for (const life of lives) expect(life.sentAt).toHaveLength(1)
  })

  test('starves nobody: a bulk call gets through a flood of urgent ones', () => {
    const flood: Arrival[] = Array.from({ length: 6000 }, (_, i) => ({
      at: i * 8,
      size: 1,
      priority: 'urgent',
      source: i % 3,
      orderKey: null,
      kind: 'read',
    }))
    const bulk: Arrival = { at: 100, size: 1, priority: 'bulk', source: 9, orderKey: null, kind: 'read' }
    const { lives } = play({
      limit: { capacity: 50, drainPerSecond: 2 },
      arrivals: [...flood, bulk],
      latencies: [100],
      phase: 0,
      fates: [99],
    })
    const life = lives.find(({ arrival: { priority } }) => priority === 'bulk') as Life
    expect((life.sentAt[0] as number) - 100).toBeLessThan(15_000)
  })

  test('lets sources take turns: one call of a quiet source does not wait behind a thousand of a loud one', () => {
    const loud: Arrival[] = Array.from({ length: 1000 }, () => ({
      at: 0,
      size: 1,
      priority: 'normal',
      source: 0,
      orderKey: null,
      kind: 'read',
    }))
    const quiet: Arrival = { at: 1, size: 1, priority: 'normal', source: 1, orderKey: null, kind: 'read' }
    const { lives } = play({
      limit: { capacity: 6, drainPerSecond: 2 },
      arrivals: [...loud, quiet],
      latencies: [10],
      phase: 0,
      fates: [99],
    })
    const life = lives.find(({ arrival: { source } }) => source === 1) as Life
    expect(life.sentAt[0]).toBeLessThan(3000)
  })

  test('uses the limit to the full: 10,000 calls take little more than 200 requests and 75 seconds', () => {
    const arrivals: Arrival[] = Array.from({ length: 10_000 }, () => ({
      at: 0,
      size: 1,
      priority: 'normal',
      source: 0,
      orderKey: null,
      kind: 'read',
    }))
    const { lives, sizes, refused } = play({
      limit: { capacity: 50, drainPerSecond: 2 },
      arrivals,
      latencies: [50],
      phase: 0,
      fates: [99],
    })
    const last = Math.max(...lives.map(({ endedAt }) => endedAt as number))
    expect(refused).toBe(0)
    expect(sizes).toHaveLength(200)
    expect(last).toBeLessThan(1.07 * 75_000)
  })
})
