import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { connectionAddress } from '../../../src/client/push/address.ts'
import { parsePushConfig } from '../../../src/client/push/config.ts'
import { advance, decodePosition, encodePosition } from '../../../src/client/push/position.ts'
import { BridgeError } from '../../../src/model/errors.ts'

const SHARED = '46a437d2336d4a88e4e9b3cd956ecf45.7910bb25e660bf211fdec15e33c5e25e4c3b644a'
const PRIVATE = `925153cd80b6b5a4dbf8659d5be21d1a:abe9e6964532000ab8b7acf092ba627b.${'6'.repeat(40)}`

const server = {
  version: 4,
  server_enabled: true,
  long_polling: 'http://rtc-01.example.com/sub2/',
  long_pooling_secure: 'https://rtc-01.example.com/sub2/',
  websocket_enabled: true,
  websocket: 'ws://rtc-01.example.com/subws2/',
  websocket_secure: 'wss://rtc-01.example.com/subws2/',
}
const answer = {
  server,
  api: { revision_web: 19, revision_mobile: 3 },
  channels: {
    shared: { id: SHARED, end: '2026-06-01T12:04:05+02:00', type: 'shared' },
    private: { id: PRIVATE, end: '2026-06-01T11:57:53+02:00', type: 'private' },
  },
  exp: 1_780_390_000,
}
const codeOf = (result: unknown, secure = true): string | undefined => {
  try {
    parsePushConfig(result, { secure })
    return undefined
  } catch (error) {
    return error instanceof BridgeError ? error.code : String(error)
  }
}

describe('the configuration', () => {
  it('is read as documented', () => {
    expect(parsePushConfig(answer, { secure: true })).toEqual({
      version: 4,
      websocket: 'wss://rtc-01.example.com/subws2/',
      longPolling: 'https://rtc-01.example.com/sub2/',
      channels: [PRIVATE, SHARED],
      expiresAt: Date.UTC(2026, 5, 1, 9, 57, 53),
      revision: 19,
    })
  })

  it('is read in its other spellings', () => {
    const { long_pooling_secure: _, ...rest } = server
    const other = {
      server: { ...rest, long_polling_secure: 'https://other.example.com/sub/', clientId: 'inside' },
      channels: { shared: { id: SHARED } },
      exp: '1780390000',
    }
    expect(parsePushConfig(other, { secure: true })).toMatchObject({
      longPolling: 'https://other.example.com/sub/',
      clientId: 'inside',
      channels: [SHARED],
      expiresAt: 1_780_390_000_000,
    })
    expect(parsePushConfig({ ...other, clientId: 'outside' }, { secure: true }).clientId).toBe('outside')
  })

  it('leads to encrypted addresses only, unless the portal itself is reached without encryption', () => {
    const plain = parsePushConfig(answer, { secure: false })
    expect([plain.websocket, plain.longPolling]).toEqual([server.websocket, server.long_polling])
    const bare = {
      ...answer,
      server: { version: 4, websocket: server.websocket, long_polling: server.long_polling },
    }
    expect(codeOf(bare)).toBe('PUSH_CONFIG')
    expect(codeOf(bare, false)).toBeUndefined()
  })

  it('without sockets leaves long polling', () => {
    const off = parsePushConfig(
      { ...answer, server: { ...server, websocket_enabled: 'N' } },
      { secure: true },
    )
    expect(off).not.toHaveProperty('websocket')
    expect(off.longPolling).toBeDefined()
  })

  it('that cannot be used is refused with a reason', () => {
    expect(codeOf({ ...answer, server: { ...server, server_enabled: false } })).toBe('PUSH_OFF')
    expect(codeOf({ ...answer, channels: {} })).toBe('PUSH_CONFIG')
    expect(codeOf({ ...answer, channels: {}, jwt: 'a.b.c' })).toBeUndefined()
    for (const rubbish of [
      null,
      undefined,
      7,
      'x',
      [],
      {},
      { server: [] },
      { server: { websocket_secure: 'file:///etc' } },
    ])
      expect(codeOf(rubbish)).toBe('PUSH_CONFIG')
  })

  it('never throws anything but that', () => {
    fc.assert(fc.property(fc.jsonValue(), fc.boolean(), (value, secure) => void codeOf(value, secure)))
    fc.assert(
      fc.property(
        fc.record({ server: fc.dictionary(fc.constantFrom(...Object.keys(server)), fc.jsonValue()) }),
        (value) => {
          expect([undefined, 'PUSH_OFF', 'PUSH_CONFIG']).toContain(codeOf({ ...answer, ...value }))
        },
      ),
    )
  })
})

describe('the address', () => {
  it('keeps what the endpoint has of its own', () => {
    const config = {
      version: 3,
      websocket: 'wss://a.example.com/bitrix/subws/?node=2#x',
      channels: ['a:b.c', 'd'],
    }
    const how = { transport: 'websocket', position: undefined, format: 'json' } as const
    expect(connectionAddress(config, how)).toBe(
      'wss://a.example.com/bitrix/subws/?node=2&CHANNEL_ID=a%3Ab.c%2Fd&revision=19',
    )
  })
})

describe('the position', () => {
  it('is found again as it was written', () => {
    const position = fc.oneof(
      fc.record({ mid: fc.stringMatching(/^\d{26}$/) }),
      fc.record({ since: fc.nat() }),
      fc.record({
        tag: fc.stringMatching(/^\d{1,3}$/),
        time: fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
      }),
    )
    fc.assert(
      fc.property(position, (one) => {
        expect(decodePosition(encodePosition(one))).toEqual({ ...one })
      }),
    )
    for (const rubbish of ['', 'mid:', 'x:1', 'tag:1', 'since:x'])
      expect(decodePosition(rubbish)).toBeUndefined()
  })

  it('goes forward only, but for a server that begins to count anew', () => {
    const at = (mid: string) => ({ mid, moduleId: '', command: '', params: null })
    const low = `1498729816${'1'.padStart(16, '0')}`
    const high = `1498729816${'12'.padStart(16, '0')}`
    expect(advance({ mid: high }, at(low))).toEqual({ mid: high })
    expect(advance({ mid: low }, at(high))).toEqual({ mid: high })
    expect(advance({ mid: high }, at('7'))).toEqual({ mid: '7' })
    expect(advance({ since: 5 }, at(low))).toEqual({ mid: low })
  })
})
