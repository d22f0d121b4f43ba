import { createHmac } from 'node:crypto'
import { expect, it } from 'vitest'
import { handlerUrl, isHandlerKey } from '../../../src/bridge/events/handler-url.ts'

const sign = (text: string): string => createHmac('sha256', 'a key').update(text).digest('hex')

it('gives an address with the portal and a key that proves it, the same every time', () => {
  const url = new URL(handlerUrl('https://bridge.example.com', 'abc', sign))
  expect(url.origin + url.pathname).toBe('https://bridge.example.com/b24/events')
  expect(url.searchParams.get('portal')).toBe('abc')
  expect(isHandlerKey('abc', url.searchParams.get('key') ?? '', sign)).toBe(true)
  expect(handlerUrl('https://bridge.example.com/', 'abc', sign)).toBe(url.href)
})

it('keeps a path that a proxy adds', () => {
  expect(handlerUrl('https://example.com/bridge/', 'abc', sign)).toMatch(
    /^https:\/\/example\.com\/bridge\/b24\/events\?portal=abc&key=[\da-f]{32}$/,
  )
})

it('refuses the key of another portal, another store, and anything else', () => {
  const key = new URL(handlerUrl('https://example.com', 'abc', sign)).searchParams.get('key') ?? ''
  expect(isHandlerKey('abd', key, sign)).toBe(false)
  expect(isHandlerKey('abc', key, (text) => sign(`${text}!`))).toBe(false)
  for (const wrong of [
    '',
    'x',
    `${key}0`,
    key.slice(1),
    `0${key.slice(1)}`.replace(key, 'x'),
    'é'.repeat(16),
  ])
    expect(isHandlerKey('abc', wrong, sign)).toBe(wrong === key)
})

it('refuses a base that cannot be an address of a handler', () => {
  for (const base of [
    '',
    'bridge.example.com',
    'ftp://a.b',
    'https://a.b/?x=1',
    'https://u:p@a.b',
    'https://a.b/#x',
  ])
    expect(() => handlerUrl(base, 'abc', sign), base).toThrow('public address')
  expect(() => handlerUrl(`https://a.b/${'x'.repeat(200)}`, 'abc', sign)).toThrow('too long')
})
