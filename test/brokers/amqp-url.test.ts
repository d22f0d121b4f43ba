import { describe, expect, it } from 'vitest'
import { retryDelay } from '../../src/brokers/amqp/connection.ts'
import { parseAmqpUrl } from '../../src/brokers/amqp/url.ts'
import { openBroker } from '../../src/brokers/open.ts'
import { bindingMatches } from '../../src/brokers/topology.ts'

describe('an AMQP address', () => {
  it.each([
    ['amqp://rabbit', 'rabbit', 5672, '/'],
    ['amqps://rabbit', 'rabbit', 5671, '/'],
    ['amqp://rabbit:5673/', 'rabbit', 5673, '/'],
    ['amqp://rabbit/%2F', 'rabbit', 5672, '/'],
    ['amqp://rabbit/crm', 'rabbit', 5672, 'crm'],
    ['amqp://rabbit/%2Fcrm%20x', 'rabbit', 5672, '/crm x'],
    ['amqp://[::1]:5672/a', '::1', 5672, 'a'],
  ])('%s is %s, port %i, virtual host %s', (url, hostname, port, vhost) => {
    expect(parseAmqpUrl(url)).toMatchObject({ hostname, port, vhost, username: 'guest', password: 'guest' })
  })

  it('keeps special characters in names and passwords', () => {
    const endpoint = parseAmqpUrl(
      'amqp://us%40er:p%2Fa%3Ass@h/v?heartbeat=7&frame_max=8192&channel_max=10&other=x',
    )
    expect(endpoint).toMatchObject({ username: 'us@er', password: 'p/a:ss' })
    expect(endpoint).toMatchObject({ heartbeatSeconds: 7, frameMax: 8192, channelMax: 10 })
    expect(endpoint.label).toBe('amqp://us@er:***@h:5672/v')
  })

  it.each(['rabbit:secret@host', 'http://u:secret@h', 'amqp://u:secret@h?heartbeat=often'])(
    'refuses %s',
    (url) => {
      expect(() => parseAmqpUrl(url)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
      expect(() => parseAmqpUrl(url)).not.toThrow(/secret/)
    },
  )

  it('must be an AMQP address or the word embedded to open a broker', async () => {
    const options = {
      amqp: { name: 'x', random: Math.random, now: Date.now },
      embedded: () => Promise.reject(),
    }
    await expect(openBroker('redis://u:secret@h', options)).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })
})

describe('the wait between attempts', () => {
  it('grows from 0.2 to 10 seconds, with full jitter', () => {
    expect([1, 2, 5, 6, 100].map((failures) => retryDelay(failures, () => 1))).toEqual([
      400, 800, 6400, 10_000, 10_000,
    ])
    expect([1, 6, 100].map((failures) => retryDelay(failures, () => 0))).toEqual([200, 200, 200])
  })
})

describe('a topic binding', () => {
  it.each([
    ['a.b', 'a.b', true],
    ['a.*', 'a.b', true],
    ['a.*', 'a', false],
    ['a.*', 'a.b.c', false],
    ['a.#', 'a', true],
    ['a.#', 'a.b.c', true],
    ['#', '', true],
    ['#.c', 'a.b.c', true],
    ['#.b.#', 'a.b.c', true],
    ['*.#.*', 'a', false],
    ['*.#.*', 'a.b', true],
    ['#.#.#', 'a', true],
  ])('%s and %s: %s', (pattern, key, expected) => {
    expect(bindingMatches('topic', pattern, key)).toBe(expected)
  })
})
