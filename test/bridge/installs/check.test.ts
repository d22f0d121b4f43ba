import { expect, it } from 'vitest'
import { reportOf } from '../../../src/bridge/installs/check.ts'
import { createRefusalLog } from '../../../src/bridge/installs/refusals.ts'

const NOW = Date.UTC(2026, 5, 1, 12)
const SUBJECT = {
  clientEndpoint: 'https://example.bitrix24.com/rest/',
  accessToken: 'access',
  hasRefreshToken: true,
  finishing: false,
}
const WELL = {
  profile: { ID: '1', ADMIN: true },
  scope: ['crm'],
  app: { INSTALLED: true, PAYMENT_EXPIRED: 'N', LICENSE_FAMILY: 'std' },
  time: '2026-06-01T12:00:01+00:00',
  methods: ['event.bind', 'event.unbind', 'event.get', 'crm.deal.add'],
  events: ['ONCRMDEALADD'],
}

it('finds nothing missing where all is well', () => {
  expect(reportOf({ result: WELL, result_error: [] }, SUBJECT, NOW)).toEqual({
    isAdmin: true,
    scope: ['crm'],
    methods: 4,
    events: 1,
    plan: 'std',
    clockOffsetMs: 1000,
    missing: [],
  })
})

it('has one sentence for each thing that is missing', () => {
  const result = {
    ...WELL,
    profile: { ID: '2', ADMIN: false },
    app: { INSTALLED: false, PAYMENT_EXPIRED: 'Y' },
    time: '2026-06-01T11:55:00+00:00',
    methods: ['event.get'],
    events: [],
  }
  const { missing } = reportOf({ result }, { ...SUBJECT, hasRefreshToken: false }, NOW)
  expect(missing).toEqual([
    'The user is no administrator: events and other data of the whole portal stay closed.',
    'The portal waits for BX24.installFinish(): open the application there once.',
    'The time that was paid for has ended.',
    'There is no refresh token: calls end with the access token, within an hour.',
    'The application has no event.bind, event.unbind: no events will come.',
    'The application sees no event of the portal; look at its scope.',
    'The clocks of the portal and of this machine differ by -300 s.',
  ])
  const finishing = reportOf({ result }, { ...SUBJECT, finishing: true }, NOW).missing
  expect(finishing.join()).not.toContain('installFinish')
})

it('says which questions were refused, and guesses nothing about them', () => {
  const answer = { result: { scope: ['crm'] }, result_error: { events: { error: 'ACCESS_DENIED' } } }
  expect(reportOf(answer, SUBJECT, NOW)).toEqual({
    scope: ['crm'],
    missing: ['events was refused (ACCESS_DENIED).'],
  })
  expect(reportOf({}, SUBJECT, NOW)).toEqual({ missing: [] })
})

it('logs refusals by way and reason, the first at once and the rest by number', () => {
  const lines: unknown[] = []
  let now = 0
  const refused = createRefusalLog(
    (event, fields) => lines.push([event, fields]),
    () => now,
  )
  for (let n = 0; n < 3; n++) refused('page', 'FORM_INVALID')
  refused('page', 'NOT_ADMIN')
  now = 10_000
  refused('page', 'FORM_INVALID')
  expect(lines).toEqual([
    ['install.refused', { way: 'page', reason: 'FORM_INVALID', count: 1, since_last_line: 1 }],
    ['install.refused', { way: 'page', reason: 'NOT_ADMIN', count: 1, since_last_line: 1 }],
    ['install.refused', { way: 'page', reason: 'FORM_INVALID', count: 4, since_last_line: 3 }],
  ])
})
