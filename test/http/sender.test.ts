import { expect, it } from 'vitest'
import { createSenderOf } from '../../src/http/sender.ts'

it('believes no header unless a proxy is trusted', () => {
  const senderOf = createSenderOf([])
  expect(senderOf('203.0.113.9', '198.51.100.1')).toBe('203.0.113.9')
})

it('takes the last address in front of the trusted proxies', () => {
  const senderOf = createSenderOf(['10.0.0.0/8', '::1', '192.0.2.7'])
  expect(senderOf('10.1.2.3', '198.51.100.1')).toBe('198.51.100.1')
  expect(senderOf('::ffff:10.1.2.3', '6.6.6.6, 198.51.100.1, 192.0.2.7')).toBe('198.51.100.1')
  expect(senderOf('::1', '198.51.100.1')).toBe('198.51.100.1')
  expect(senderOf('203.0.113.9', '198.51.100.1')).toBe('203.0.113.9')
})

it('stays with the proxy where the header says nothing, or rubbish', () => {
  const senderOf = createSenderOf(['10.0.0.0/8'])
  for (const header of [undefined, '', 'unknown', '198.51.100.1, x'])
    expect(senderOf('10.0.0.1', header)).toBe('10.0.0.1')
})
