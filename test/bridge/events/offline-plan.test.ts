import { describe, expect, it } from 'vitest'
import { clear, remove, report, reread } from '../../../src/bridge/events/offline/calls.ts'
import { cutOff, planDelete, spansOf } from '../../../src/bridge/events/offline/delete-plan.ts'
import { connectorsOf } from '../../../src/bridge/events/offline/handlers.ts'
import { callsNext, planReserve, type ReserveState } from '../../../src/bridge/events/offline/reserve-plan.ts'
import { byTime, eventOfRow, type OfflineRow, parseRow } from '../../../src/bridge/events/offline/row.ts'
import { nextPollMs, POLLS_A_SECOND, remedyFor } from '../../../src/bridge/events/offline/schedule.ts'
import { BrokerError, RestError, ThrottledError, TransportError } from '../../../src/model/errors.ts'

const AT = Date.parse('2026-11-22T10:00:00Z')
const MESSAGE = '0123456789abcdef0123456789abcdef'
const queue = { memberId: 'm', clientId: 'c', connector: '', domain: 'example.bitrix24.com' }

function row(id: number, seenAt = AT, more: Partial<OfflineRow> = {}): OfflineRow {
  const messageId = String(id).padStart(32, '0')
  const rest = { event: 'ONCRMDEALUPDATE', data: {}, processId: '', hidden: false, ...more }
  return { id: String(id), seenAt, messageId, ...rest }
}

describe('a row of an offline queue', () => {
  const wire = {
    ID: '17',
    TIMESTAMP_X: '2026-11-22T12:00:00+02:00',
    EVENT_NAME: 'onCrmDealUpdate',
    EVENT_DATA: { FIELDS: { ID: 8 } },
    EVENT_ADDITIONAL: { user_id: '5' },
    MESSAGE_ID: MESSAGE,
  }

  it('is read as the portal writes it', () => {
    expect(parseRow(wire)).toEqual({
      id: '17',
      seenAt: AT,
      event: 'ONCRMDEALUPDATE',
      data: { FIELDS: { ID: 8 } },
      userId: '5',
      messageId: MESSAGE,
      processId: '',
      hidden: false,
    })
    expect(parseRow({ ...wire, EVENT_DATA: false, EVENT_ADDITIONAL: false })).toMatchObject({ data: {} })
  })

  it.each([
    ['no object', 'x'],
    ['no id', { ...wire, ID: '' }],
    ['an id that is no number', { ...wire, ID: '1 or 1' }],
    ['a message id of another length', { ...wire, MESSAGE_ID: 'abc' }],
    ['no moment', { ...wire, TIMESTAMP_X: 'soon' }],
    ['no name', { ...wire, EVENT_NAME: false }],
  ])('is not read when it has %s', (_, value) => {
    expect(parseRow(value)).toBeUndefined()
  })

  it('has the same key however often it is read, and another one when it happens again', () => {
    const key = (one: OfflineRow, more = {}) => eventOfRow(one, { ...queue, ...more }, AT + 5).key
    expect(key(row(1))).toBe(key(row(1, AT, { processId: 'p', userId: '7' })))
    const others = [
      key(row(1, AT + 1000)),
      key(row(2)),
      key(row(1), { connector: 'erp' }),
      key(row(1), { memberId: 'n' }),
    ]
    expect(new Set([key(row(1)), ...others]).size).toBe(5)
  })

  it('comes in the order of seconds, then of ids as numbers', () => {
    const rows = [row(10), row(9), row(2, AT + 1000), row(100, AT - 1000)]
    expect(rows.sort(byTime).map(({ id }) => id)).toEqual(['100', '9', '10', '2'])
  })
})

describe('calls that remove', () => {
  it.each([
    ['no process', '', ['x']],
    ['no message', 'p', []],
    ['an empty message', 'p', ['']],
  ])('are never made with %s, because they would remove more', (_, processId, messages) => {
    expect(() => clear('', processId, messages)).toThrow(TypeError)
    expect(() => report('', processId, messages)).toThrow(TypeError)
  })

  it('name the messages, the span of ids and the last second', () => {
    expect(clear('erp', 'p', [MESSAGE]).params).toEqual({
      process_id: 'p',
      message_id: [MESSAGE],
      auth_connector: 'erp',
    })
    const span = { first: '3', last: '9', notAfter: AT + 999, limit: 4 }
    expect(remove('', span).params).toMatchObject({
      clear: 1,
      limit: 4,
      filter: { '>=ID': '3', '<=ID': '9', '<=TIMESTAMP_X': '2026-11-22T10:00:00+00:00' },
    })
    expect(() => reread('', '', false)).toThrow(TypeError)
  })
})

describe('the plan of a round that reserves', () => {
  const state: ReserveState = { settled: [], expected: undefined, suspicious: true, orphans: [] }
  const settled = (count: number) =>
    Array.from(
      { length: count },
      (_, n) => ({ kind: 'clear', processId: `p${n}`, messageIds: ['m'] }) as const,
    )
  const kinds = (given: Partial<ReserveState>, most = 50) => {
    const counts: Record<string, number> = {}
    for (const { kind } of planReserve({ ...state, ...given }, { limit: 50, most }))
      counts[kind] = (counts[kind] ?? 0) + 1
    return counts
  }

  it('looks for what others left, reads once and counts, when nothing is known', () => {
    expect(kinds({})).toEqual({ 'list-reserved': 1, reserve: 1, count: 1 })
  })

  it('clears first, fills the request with reads, and counts when the end is in sight', () => {
    expect(kinds({ suspicious: false, expected: 9950, settled: settled(1) })).toEqual({
      clear: 1,
      reserve: 49,
    })
    expect(kinds({ suspicious: false, expected: 200, settled: settled(3) })).toEqual({
      clear: 3,
      reserve: 4,
      count: 1,
    })
    expect(kinds({ suspicious: false, expected: 1 })).toEqual({ reserve: 1 })
    expect(kinds({ suspicious: false, expected: 500, settled: settled(60) })).toEqual({ clear: 50 })
    expect(kinds({ suspicious: false, settled: settled(49) })).toEqual({ clear: 49, reserve: 1 })
  })

  it('reads what others left before anything new', () => {
    const orphans = [{ processId: 'lost', hidden: false }]
    expect(kinds({ orphans, expected: 500, settled: settled(2) })).toEqual({ clear: 2, reread: 1 })
  })

  it('needs 9 requests for 10,000 rows', () => {
    let requests = 1
    let left = 9950
    let held = 1
    while (left > 0 || held > 0) {
      const steps = kinds({ suspicious: false, expected: left, settled: settled(held) })
      held = (steps.reserve ?? 0) + held - (steps.clear ?? 0)
      left -= Math.min(left, 50 * (steps.reserve ?? 0))
      requests++
    }
    expect(requests).toBe(9)
  })

  it('asks for less when a request lasted long, and for more again later', () => {
    expect(callsNext(50, 50, 40)).toBe(18)
    expect(callsNext(18, 18, 2)).toBe(36)
    expect(callsNext(3, 3, 600)).toBe(3)
  })
})

describe('the plan of a round that removes', () => {
  const always = () => true

  it('takes rows that were not seen lately, in spans of a page without those that are not confirmed', () => {
    const rows = Array.from({ length: 60 }, (_, n) => row(n + 1, n === 59 ? AT + 5000 : AT))
    const spans = spansOf(rows, AT, ({ id }) => id !== '10')
    expect(spans.map(({ first, last, rows: { length } }) => [first, last, length])).toEqual([
      ['1', '9', 9],
      ['11', '59', 49],
    ])
    expect(spansOf(rows, AT, always).map(({ rows: { length } }) => length)).toEqual([50, 9])
    expect(spansOf([row(1, AT + 1)], AT, always)).toEqual([])
  })

  it('leaves the last seconds alone, by the clock of the portal, or far longer by ours', () => {
    expect(cutOff(AT + 500, 0)).toBe(AT - 3000)
    expect(cutOff(undefined, AT)).toBe(AT - 60_000)
  })

  it('removes what is confirmed, and lists as many pages as the rest needs', () => {
    const spans = spansOf([row(1)], AT, always)
    expect(planDelete({ spans, expected: 120, skip: 50 }, 50)).toEqual([
      { kind: 'remove', span: spans[0] },
      { kind: 'list', start: 50 },
      { kind: 'list', start: 100 },
      { kind: 'list', start: 150 },
    ])
    expect(planDelete({ spans: [], expected: undefined, skip: 0 }, 50)).toEqual([{ kind: 'list', start: 0 }])
  })
})

describe('when to look', () => {
  const times = { pollMs: 60_000, idlePollMs: 900_000 }

  it('is later with each look that finds nothing', () => {
    const waits = [0, 1, 2, 3, 4, 9].map((idlePolls) =>
      nextPollMs(times, { idlePolls, queues: 10 }, () => 0.5),
    )
    expect(waits).toEqual([60_000, 120_000, 240_000, 480_000, 900_000, 900_000])
  })

  it('costs a few requests a second for all portals together', () => {
    const wait = nextPollMs(times, { idlePolls: 20, queues: 10_000 }, () => 0.5)
    expect(10_000 / (wait / 1000)).toBeLessThanOrEqual(POLLS_A_SECOND)
  })

  it.each([
    [new RestError('WRONG_LICENSE', '', 403), 'other-scheme'],
    [new RestError('ACCESS_DENIED', '', 403), 'rest'],
    [new RestError('PAYMENT_REQUIRED', '', 401), 'rest'],
    [new ThrottledError('OPERATION_TIME_LIMIT', '', 429), 'again'],
    [new BrokerError('CONNECTION_LOST', ''), 'again'],
    [new TransportError('RESET', '', { sent: 'maybe' }), 'again'],
  ])('after %s depends on who can mend it', (error, kind) => {
    expect(remedyFor(error, 1).kind).toBe(kind)
  })
})

describe('the connectors of an application', () => {
  it('are those of its offline handlers, each once', () => {
    const handlers = [
      { event: 'ONCRMDEALADD', handler: 'https://x', auth_type: '0', offline: 0 },
      { event: 'ONCRMDEALADD', connector_id: 'erp', offline: 1 },
      { event: 'ONCRMDEALUPDATE', connector_id: 'erp', offline: '1' },
      { event: 'ONCRMDEALUPDATE', connector_id: '', offline: 1 },
    ]
    expect(connectorsOf(handlers)).toEqual(['', 'erp'])
    expect(connectorsOf(null)).toEqual([])
  })
})
