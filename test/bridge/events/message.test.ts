import fc from 'fast-check'
import { expect, it } from 'vitest'
import { eventSchema } from '../../../src/bridge/events/event-schema.ts'
import { encodeEvent, eventRoutingKey } from '../../../src/bridge/events/message.ts'
import type { PortalEvent } from '../../../src/model/event.ts'

const event: PortalEvent = {
  kind: 'event',
  memberId: 'abc',
  domain: 'example.bitrix24.com',
  event: 'ONCRMDEALUPDATE',
  data: { FIELDS: { ID: '7' } },
  receivedAt: 1_727_018_926_500,
  key: 'k',
}

it('writes messages that the published schema describes, with and without what may be absent', () => {
  const full: PortalEvent = {
    ...event,
    application: 'local.1',
    userId: '1',
    happenedAt: 1_727_018_926_000,
    synthetic: true,
    record: { ID: '7' },
    raw: { event: 'x' },
  }
  for (const one of [event, full])
    expect(eventSchema.safeParse(JSON.parse(encodeEvent(one).message.body.toString())).error).toBeUndefined()
  expect(eventSchema.safeParse({ kind: 'event' }).success).toBe(false)
})

it('makes routing keys of exactly three words, for any text', () => {
  expect(eventRoutingKey(event)).toBe('event.abc.oncrmdealupdate')
  fc.assert(
    fc.property(fc.string(), fc.string(), (memberId, name) => {
      expect(eventRoutingKey({ kind: 'robot', memberId, event: name })).toMatch(
        /^robot\.[\w-]{1,80}\.[\w-]{1,80}$/,
      )
    }),
  )
})
