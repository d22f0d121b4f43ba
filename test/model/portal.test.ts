import { describe, expect, it } from 'vitest'
import { parseDomain } from '../../src/model/portal.ts'

describe('the domain of a portal', () => {
  it.each([
    ['example.bitrix24.com', 'example.bitrix24.com'],
    ['  https://Example.Bitrix24.COM/company/?a=1#b ', 'example.bitrix24.com'],
    ['http://portal.example.com:8080/', 'portal.example.com:8080'],
    ['example.bitrix24.com/', 'example.bitrix24.com'],
    ['Портал.рф', 'xn--80awhdgm.xn--p1ai'],
    ['bücher.example', 'xn--bcher-kva.example'],
    ['localhost:5000', 'localhost:5000'],
    ['10.0.0.7', '10.0.0.7'],
    ['https://[::1]:8443', '[::1]:8443'],
  ])('is read from %j', (input, domain) => {
    expect(parseDomain(input)).toBe(domain)
    expect(parseDomain(domain)).toBe(domain)
  })

  it.each([
    '',
    ' ',
    'https://',
    'no-dot',
    'two words.example',
    'a..b.example',
    '-a.example',
    'a.example.',
    'under_score.example',
    'javascript:alert(1)',
    'ftp://files.example',
    'https://user:secret@portal.example',
    'a.example:port',
    `${'a'.repeat(260)}.example`,
  ])('is refused as %j, in words', (input) => {
    const parse = () => parseDomain(input)
    expect(parse).toThrow(expect.objectContaining({ code: 'DOMAIN_INVALID', hint: expect.any(String) }))
    expect(parse).not.toThrow('secret')
  })
})
