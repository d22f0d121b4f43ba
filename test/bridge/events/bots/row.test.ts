import { expect, it } from 'vitest'
import { eventOfRow, pageOf } from '../../../../src/bridge/events/bots/row.ts'

const OWNER = { memberId: 'm1', clientId: 'local.bots', domain: 'example.bitrix24.com', botId: 456 }
const row = (eventId: number, more: object = {}) => ({
  eventId,
  type: 'ONIMBOTV2MESSAGEADD',
  date: '2026-06-01T10:30:00+01:00',
  data: { message: { id: 7, text: 'Hello' }, user: { id: 5, bot: false } },
  ...more,
})

it('a page is read in order, and confirmed up to its last event whatever the portal says', () => {
  const page = pageOf({ events: [row(12), row(10), row(11)], nextOffset: 99, hasMore: true })
  expect(page).toMatchObject({ nextOffset: 13, hasMore: true, unreadable: 0 })
  expect(page?.rows.map(({ eventId }) => eventId)).toEqual([10, 11, 12])
})

it('an empty page confirms nothing, and what is no page is none', () => {
  expect(pageOf({ events: [], nextOffset: 13, hasMore: false })).toEqual({
    rows: [],
    hasMore: false,
    unreadable: 0,
  })
  for (const result of [undefined, null, [], 'text', {}, { events: {} }])
    expect(pageOf(result)).toBeUndefined()
})

it('what is no event is counted, and passed by where nothing else is there', () => {
  const rubbish = [null, 7, { eventId: 'x', type: 'ON' }, { eventId: 3 }, row(4, { type: 'a b' })]
  expect(pageOf({ events: rubbish, nextOffset: 5, hasMore: false })).toMatchObject({
    unreadable: 5,
    nextOffset: 5,
  })
  expect(pageOf({ events: [...rubbish, row(2)], nextOffset: 5 })).toMatchObject({
    unreadable: 5,
    nextOffset: 3,
  })
})

it('an event keeps its types, names who did it, and has no token', () => {
  const [read] =
    pageOf({ events: [row(10, { data: { user: { id: 5 }, n: 1, auth: { a: 'b' } } })] })?.rows ?? []
  expect(eventOfRow(read!, OWNER, 1000)).toEqual({
    kind: 'bot',
    memberId: 'm1',
    domain: 'example.bitrix24.com',
    application: 'local.bots',
    event: 'ONIMBOTV2MESSAGEADD',
    data: { user: { id: 5 }, n: 1 },
    userId: '5',
    happenedAt: Date.parse('2026-06-01T09:30:00Z'),
    receivedAt: 1000,
    key: expect.stringMatching(/^[0-9a-f]{64}$/),
  })
})

it('the same event has the same key whenever it is read, another bot or event another one', () => {
  const [one] = pageOf({ events: [row(10)] })?.rows ?? []
  const [two] = pageOf({ events: [row(11)] })?.rows ?? []
  const key = eventOfRow(one!, OWNER, 1).key
  expect(eventOfRow(one!, { ...OWNER, domain: 'renamed.example' }, 2).key).toBe(key)
  expect(eventOfRow(two!, OWNER, 1).key).not.toBe(key)
  expect(eventOfRow(one!, { ...OWNER, botId: 457 }, 1).key).not.toBe(key)
})
