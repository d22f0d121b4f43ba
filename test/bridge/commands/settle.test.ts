import { expect, it } from 'vitest'
import { settlement } from '../../../src/bridge/commands/settle.ts'
import type { Outcome, OutcomeKind } from '../../../src/model/outcome.ts'

const ended = (kind: OutcomeKind, code?: string, attempts = 1): Outcome => ({
  kind,
  status: 200,
  attempts,
  ...(code === undefined ? {} : { failure: { code, description: '', retryable: false } }),
})

it.each([
  ['done', undefined, 1, true, true, 'reply'],
  ['failed', 'ACCESS_DENIED', 1, true, true, 'reply'],
  ['unknown', 'CONNECTION_LOST', 1, true, false, 'reply'],
  ['unknown', 'CONNECTION_LOST', 1, true, true, 'reply-and-keep'],
  ['failed', 'BODY_NOT_JSON', 0, false, false, 'reply-and-keep'],
  ['failed', 'CLIENT_CLOSED', 0, true, true, 'requeue'],
  ['failed', 'STORE_UNAVAILABLE', 0, true, true, 'requeue'],
  ['failed', 'BEGUN_ELSEWHERE', 0, true, true, 'requeue'],
  ['unknown', 'CLIENT_CLOSED', 1, true, true, 'reply-and-keep'],
] as const)(
  'settles %s (%s, %d attempts, parsed: %s, keep: %s): %s',
  (kind, code, attempts, parsed, keepUnknown, expected) => {
    expect(settlement(ended(kind, code, attempts), parsed, { keepUnknown })).toBe(expected)
  },
)
