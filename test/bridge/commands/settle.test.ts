import { expect, it } from 'vitest'
import { namesMethod } from '../../../src/bridge/commands/names-method.ts'
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

it.each([
  ['failed', 'ACCESS_DENIED', 1, 'reply-and-keep'],
  ['failed', 'CLIENT_CLOSED', 0, 'requeue'],
  ['unknown', 'CONNECTION_LOST', 1, 'reply'],
  ['done', undefined, 1, 'reply'],
] as const)(
  'settles %s (%s, %d attempts) of a method whose failures are kept: %s',
  (kind, code, attempts, expected) => {
    expect(settlement(ended(kind, code, attempts), true, { keepFailed: true })).toBe(expected)
  },
)

it('knows the methods of a command, also in a batch', () => {
  const common = { meta: null, params: {} }
  const call = (method: string) => ({ ...common, action: 'call' as const, method })
  const entries = [{ name: 'a', method: 'bizproc.event.send', params: {} }]
  const batch = { ...common, action: 'batch' as const, method: 'batch', entries, halt: false }
  const named = namesMethod(['bizproc.event.send', 'messageservice.*'])
  const commands = [
    call('BizProc.Event.Send'),
    call('bizproc.event.sends'),
    call('bizprocXeventXsend'),
    call('messageservice.message.status.update'),
    batch,
  ]
  expect(commands.map(named)).toEqual([true, false, false, true, true])
  expect(commands.map(namesMethod([]))).toEqual([false, false, false, false, false])
})
