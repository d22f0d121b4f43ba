import { describe, expect, it } from 'vitest'
import { LaneCore } from '../../../src/client/lane/core.ts'
import type { LaneRequest } from '../../../src/client/lane/exchange.ts'
import type { CallSettled } from '../../../src/client/lane/work.ts'
import { AuthError, CommandError, RestError, TransportError } from '../../../src/model/errors.ts'
import { parseWebhook, webhookCredential } from '../../../src/model/webhook.ts'

/** A lane under a clock that stands still unless told otherwise. */
function laneCore(portalWaitMs = 300_000): LaneCore {
  let prefixes = 0
  return new LaneCore({
    limit: null,
    credential: webhookCredential(parseWebhook('https://example.bitrix24.com/rest/1/abc/')),
    settings: {
      maxInFlight: 10,
      lingerMs: 20,
      maxBatchSeconds: 20,
      maxBatchBytes: 1 << 20,
      bulkReserve: 0,
      agingMs: 10_000,
    },
    operatingLimitSeconds: 480,
    portalWaitMs,
    quietMs: 75_000,
    maxAttempts: 3,
    newPrefix: () => `k${prefixes++}_`,
    initialLevel: 0,
    now: 0,
  })
}

function send(core: LaneCore, now: number): LaneRequest {
  const plan = core.plan(now)
  if (plan.kind !== 'send') throw new Error(`the plan is ${JSON.stringify(plan)}`)
  return core.take(plan.picks, now)
}

const unsent = new TransportError('CONNECT_FAILED', 'nothing listens', { sent: false })
const lost = new TransportError('CONNECTION_LOST', 'cut', { sent: 'maybe' })

describe('the lane core', () => {
  it('sends the rest of a request when some of its work must not leave, and nothing when all of it', () => {
    const core = laneCore()
    const ended: string[] = []
    const codes = (settled: readonly CallSettled[]): string => settled.map(({ error }) => error?.code).join()
    const add = (name: string): void => {
      core.add({ calls: [{ method: 'crm.deal.update', params: {} }] }, 0, (settled) =>
        ended.push(`${name} ${codes(settled)}`),
      )
    }
    const taken = new CommandError('BEGUN_ELSEWHERE', '')
    for (const name of ['first', 'second']) add(name)
    const planned = send(core, 0)
    const [first] = planned.items
    const request = core.withdrawn(planned, new Map([[first!, taken]]))
    expect(ended).toEqual(['first BEGUN_ELSEWHERE'])
    expect(request?.calls).toHaveLength(1)
    expect(core.stats(0).inFlight).toBe(1)
    expect(core.withdrawn(request!, new Map([[request!.items[0]!, taken]]))).toBeUndefined()
    expect(ended).toEqual(['first BEGUN_ELSEWHERE', 'second BEGUN_ELSEWHERE'])
    expect(core.stats(0).inFlight).toBe(0)
  })

  describe('a write with a key whose answer was lost, and that waits to be tried again', () => {
    /** It was tried at 0 and waits until 75 s; how it ends. */
    function waiting(deadlineMs?: number) {
      const core = laneCore(60_000)
      const ends: CallSettled[] = []
      const call = { method: 'tasks.task.add', params: {}, api: 'v3', idempotencyKey: 'key' } as const
      const options = deadlineMs === undefined ? {} : { deadlineMs }
      const item = core.add({ calls: [call], options }, 0, ([settled]) => ends.push(settled as CallSettled))
      core.failed(send(core, 0), lost, 5, 5)
      return { core, item, ends }
    }

    it.each([
      ['its deadline passes', ({ core }) => core.sweep(10_000)],
      ['it is withdrawn', ({ core, item }) => core.cancel(item, new CommandError('ABORTED', ''))],
      ['the lane is closed', ({ core }) => core.cancelAll(new CommandError('CLIENT_CLOSED', ''))],
      [
        'it must not leave once more',
        ({ core, item }) => {
          core.withdrawn(send(core, 80_000), new Map([[item, new CommandError('BEGUN_ELSEWHERE', '')]]))
        },
      ],
      [
        'the portal cannot be reached any more',
        ({ core }) => {
          core.failed(send(core, 80_000), unsent, 5, 80_005)
          core.sweep(200_000)
        },
      ],
      [
        'nobody may call any more',
        ({ core }) => core.failed(send(core, 80_000), new AuthError('NO_AUTH_FOUND', '', 401), 5, 80_005),
      ],
    ] satisfies [string, (lane: ReturnType<typeof waiting>) => void][])(
      'may have run when %s',
      (_, happen) => {
        const lane = waiting(5000)
        happen(lane)
        expect(lane.ends).toHaveLength(1)
        expect(lane.ends[0]?.error).toMatchObject({ code: 'CONNECTION_LOST', mayHaveRun: true })
      },
    )

    it('ends as the portal says when it tells how', () => {
      const { core, ends } = waiting()
      const error = new RestError('ERROR_CORE', 'no such task', 400)
      core.answered(send(core, 80_000), [{ status: 400, body: { error: 'ERROR_CORE' }, error }], 5, 80_005)
      expect(ends).toEqual([{ answer: expect.anything(), error }])
    })
  })

  it('keeps the order of a key although a call with a bad name comes in between', () => {
    const core = laneCore()
    const ended: string[] = []
    const add = (name: string, method: string): void => {
      core.add({ calls: [{ method, params: {} }], options: { orderKey: 'deal 7' } }, 0, () =>
        ended.push(name),
      )
    }
    add('first', 'crm.deal.update')
    const request = send(core, 0)
    add('second', 'crm.deal.update')
    add('bad', 'crm deal/../update')
    expect(ended).toEqual(['bad'])
    expect(core.plan(0)).toMatchObject({ kind: 'wait', for: 'work' })
    core.answered(request, [{ status: 200, body: { result: true } }], 5, 5)
    expect(ended).toEqual(['bad', 'first'])
    expect(send(core, 100).calls).toHaveLength(1)
  })

  it('counts the wait for a portal that is down from the moment it went down, not from the arrival of the call', () => {
    const core = laneCore(60_000)
    const settled: (readonly CallSettled[])[] = []
    core.add({ calls: [{ method: 'crm.deal.get', params: { id: 1 } }] }, 0, (result) => settled.push(result))
    // It stood ten minutes behind others before the portal failed for the first time.
    core.failed(send(core, 600_000), unsent, 5, 600_000)
    core.sweep(600_200)
    expect(settled).toHaveLength(0)
    core.sweep(661_000)
    expect(settled[0]?.[0]?.error).toMatchObject({ code: 'PORTAL_UNREACHABLE', mayHaveRun: false })
  })

  it('does not take a few lost answers for a portal that is down', () => {
    const core = laneCore()
    for (let i = 0; i < 4; i++) {
      core.add({ calls: [{ method: 'crm.deal.add', params: {} }] }, i, () => undefined)
      core.failed(send(core, i), lost, 5, i)
    }
    expect(core.stats(10).trouble).toBeUndefined()
    core.add({ calls: [{ method: 'crm.deal.add', params: {} }] }, 10, () => undefined)
    core.failed(send(core, 10), lost, 5, 10)
    expect(core.stats(10).trouble).toBe('CONNECTION_LOST')
  })

  it('sends fewer calls at once after a batch that was cut for its length', () => {
    const core = laneCore()
    for (let i = 0; i < 50; i++)
      core.add({ calls: [{ method: 'crm.deal.list', params: { start: i } }] }, 0, () => undefined)
    const request = send(core, 100)
    expect(request.calls).toHaveLength(50)
    core.failed(request, lost, 60_000, 60_100)
    const next = send(core, 70_000)
    expect(next.calls.length).toBeLessThan(20)
    expect(next.calls.length).toBeGreaterThan(1)
  })
})

describe('a group that the portal refuses as a whole', () => {
  const refused = new RestError('ERROR', 'too much at once', 400)

  it('goes one call a request, in order, and ends', () => {
    const core = laneCore()
    let settled: readonly CallSettled[] = []
    const calls = [1, 2, 3].map((id) => ({ method: 'crm.deal.update', params: { id } }))
    core.add({ calls }, 0, (result) => {
      settled = result
    })
    const whole = send(core, 0)
    expect(whole.calls).toHaveLength(3)
    core.failed(whole, refused, 5, 5)
    const sent: unknown[] = []
    for (let now = 100; settled.length === 0 && now < 2000; now += 100) {
      const request = send(core, now)
      expect(request.calls).toHaveLength(1)
      sent.push(request.calls[0]?.call.params)
      if (sent.length === 2) core.failed(request, refused, 5, now + 5)
      else core.answered(request, [{ status: 200, body: { result: true } }], 5, now + 5)
    }
    expect(sent).toEqual([{ id: 1 }, { id: 2 }, { id: 3 }])
    expect(settled.map(({ error }) => error?.code)).toEqual([undefined, 'ERROR', undefined])
  })
})
