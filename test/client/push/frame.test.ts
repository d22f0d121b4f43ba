import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readFrame } from '../../../src/client/push/frame.ts'

const START = '#!NGINXNMS!#'
const END = '#!NGINXNME!#'

interface Said {
  readonly mid: string
  readonly command: string
  readonly params: unknown
}

const MID = fc.bigInt({ min: 0n, max: 10n ** 26n - 1n }).map((n) => String(n).padStart(26, '0'))
const SAID: fc.Arbitrary<Said> = fc.record({
  mid: MID,
  command: fc.stringMatching(/^[\w:|.-]{1,20}$/),
  params: fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value))),
})
const SAYINGS = fc.array(SAID, { minLength: 1, maxLength: 8 })

const message = ({ mid, command, params }: Said) => ({
  id: 1,
  mid,
  channel: '-',
  tag: '672',
  time: 'Thu, 29 Jun 2017 09:50:16 GMT',
  text: { module_id: 'application', command, params, extra: { server_time_unix: 1498729816 } },
})
const marked = (said: Said): string => `${START}${JSON.stringify(message(said))}${END}`
const said = (data: string | Buffer) =>
  readFrame(data).messages.map(({ mid, command, params }) => ({ mid, command, params }))

/** Protobuf as the wire wants it; written for the tests alone. */
function bytesField(number: number, bytes: Buffer): Buffer {
  return Buffer.concat([varint(number * 8 + 2), varint(bytes.length), bytes])
}

function varint(value: number): Buffer {
  const bytes: number[] = []
  for (; value > 127; value = Math.floor(value / 128)) bytes.push((value % 128) + 128)
  return Buffer.from([...bytes, value])
}

function outgoing({ mid, command, params }: Said): Buffer {
  const body = JSON.stringify({ module_id: 'application', command, params })
  const created = Buffer.alloc(4)
  created.writeUInt32LE(1_498_729_816)
  return Buffer.concat([
    bytesField(1, Buffer.from(mid, 'hex')),
    bytesField(2, Buffer.from(body)),
    Buffer.concat([varint(3 * 8), varint(86_400)]),
    Buffer.concat([varint(4 * 8 + 5), created]),
    bytesField(5, Buffer.concat([varint(8), varint(2)])),
  ])
}

const batch = (all: readonly Said[]): Buffer =>
  bytesField(1, bytesField(1, Buffer.concat(all.map((one) => bytesField(1, outgoing(one))))))

describe('a frame of a push server', () => {
  it.each([
    ['marked text', (all: readonly Said[]) => all.map(marked).join('')],
    ['marked text on lines of their own', (all: readonly Said[]) => all.map(marked).join('\r\n')],
    ['a JSON list', (all: readonly Said[]) => JSON.stringify(all.map(message))],
    ['protobuf', batch],
    [
      'JSON-RPC',
      (all: readonly Said[]) =>
        JSON.stringify(
          all.map(({ mid, command, params }) => ({
            jsonrpc: '2.0',
            method: 'incoming.message',
            params: { mid, body: { module_id: 'application', command, params } },
          })),
        ),
    ],
  ] as const)('gives every message in order: %s', (_, write) => {
    fc.assert(
      fc.property(SAYINGS, (all) => {
        expect(said(write(all))).toEqual(all)
      }),
    )
  })

  it('reads a single JSON message, and looks for extra in both places', () => {
    const outside = { mid: '1', text: { command: 'a' }, extra: { server_time_unix: 1507012561 } }
    const inside = { mid: '2', text: { command: 'b', extra: { server_time_unix: '1507012561.5' } } }
    expect(readFrame(JSON.stringify(outside)).messages).toEqual([
      { mid: '1', moduleId: '', command: 'a', params: null, sentAt: 1_507_012_561_000 },
    ])
    expect(readFrame(JSON.stringify(inside)).messages[0]!.sentAt).toBe(1_507_012_561_500)
  })

  it('takes the time of an old server from the message, and its tag', () => {
    const old = {
      id: 7,
      tag: 672,
      time: 'Thu, 29 Jun 2017 09:50:16 GMT',
      text: '{"command":"x","params":[]}',
    }
    expect(readFrame(`${START}${JSON.stringify(old)}${END}`).messages).toEqual([
      {
        tag: '672',
        time: 'Thu, 29 Jun 2017 09:50:16 GMT',
        moduleId: '',
        command: 'x',
        params: [],
        sentAt: 1_498_729_816_000,
      },
    ])
  })

  it('is cut nowhere by marks inside of a message', () => {
    const tricky = { mid: '1', command: 'a', params: { note: `${END} and ${START}, then ${END}` } }
    const next = { mid: '2', command: 'b', params: null }
    expect(said(marked(tricky) + marked(next))).toEqual([tricky, next])
  })

  it('answers ping by pong, and unknown calls by an error', () => {
    expect(readFrame('ping').answers).toEqual(['pong'])
    const call = { jsonrpc: '2.0', id: 3, method: 'do.something' }
    expect(JSON.parse(readFrame(JSON.stringify(call)).answers[0]!)).toEqual({
      jsonrpc: '2.0',
      id: 3,
      error: { code: -32601, message: 'Method not found' },
    })
    expect(readFrame('{"jsonrpc":"2.0","id":3,"result":true}')).toMatchObject({ messages: [], faults: [] })
  })

  it('wants an acknowledgement only where JSON-RPC brought the message', () => {
    const rpc = {
      jsonrpc: '2.0',
      method: 'incoming.message',
      params: { mid: '1', body: { command: 'a', params: {} } },
    }
    expect(readFrame(JSON.stringify(rpc)).acknowledge).toBe(true)
    expect(readFrame(marked({ mid: '1', command: 'a', params: 1 })).acknowledge).toBe(false)
  })

  it('says nothing for nothing', () => {
    for (const empty of ['', '  ', Buffer.alloc(0)])
      expect(readFrame(empty)).toEqual({ messages: [], answers: [], acknowledge: false, faults: [] })
  })

  it('keeps what stands in front of a cut, and says that something is missing', () => {
    fc.assert(
      fc.property(SAYINGS, fc.nat(), (all, at) => {
        const text = all.map(marked).join('')
        const cut = text.slice(0, at % text.length)
        const whole = cut.length === 0 ? 0 : said(cut).length
        expect(said(cut)).toEqual(all.slice(0, whole))
        // What is left of the next one is either a whole start mark, and then a fault, or nothing that could be one.
        const left = cut.length - all.slice(0, whole).map(marked).join('').length
        expect(readFrame(cut).faults.length).toBe(left > 0 ? 1 : 0)
      }),
    )
  })

  it('keeps the messages around one that is damaged', () => {
    fc.assert(
      fc.property(SAYINGS, SAYINGS, fc.constantFrom('{"a":', '{}', '[1]', 'x'), (before, after, damage) => {
        const text = `${before.map(marked).join('')}${START}${damage}${END}${after.map(marked).join('')}`
        expect(said(text)).toEqual([...before, ...after])
        expect(readFrame(text).faults).toHaveLength(1)
      }),
    )
  })

  it('never throws, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.string().map((s) => START + s + END),
        ),
        readAll,
      ),
    )
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => readAll(Buffer.from(bytes))))
    fc.assert(
      fc.property(SAYINGS, fc.nat(), fc.nat(255), (all, at, byte) => {
        const damaged = Buffer.from(batch(all))
        damaged[at % damaged.length] = byte
        readAll(damaged)
        readAll(damaged.subarray(0, at % damaged.length))
      }),
    )
    function readAll(data: string | Buffer): void {
      const { messages } = readFrame(data)
      for (const { command } of messages) expect(command).not.toBe('')
    }
  })

  it('says that a binary frame cannot be read', () => {
    const cut = batch([{ mid: '0'.repeat(26), command: 'a', params: {} }]).subarray(0, 30)
    expect(readFrame(cut).faults).toEqual([expect.stringContaining('a binary frame cannot be read')])
  })

  it('takes no longer for damaged marks without end than for their length', () => {
    const open = `${START}"${END.repeat(60_000)}`
    expect(readFrame(open)).toMatchObject({
      messages: [],
      faults: ['a message is not JSON', expect.anything()],
    })
    const next = { mid: '2', command: 'b', params: null }
    const many = `${START}"${END} `.repeat(400) + marked(next)
    expect(said(many)).toEqual([next])
  })

  it('says little about much rubbish, and answers few of very many calls', () => {
    expect(readFrame(`${START}x${END}`.repeat(1000)).faults).toHaveLength(10)
    // Empty fields by the million: two bytes each.
    const empty = Buffer.alloc(4_000_000)
    for (let at = 0; at < empty.length; at += 2) empty[at] = 8 + 2
    expect(readFrame(bytesField(1, bytesField(1, empty))).faults).toHaveLength(10)
    const calls = Array.from({ length: 1000 }, (_, id) => ({ jsonrpc: '2.0', id, method: 'ping' }))
    expect(readFrame(JSON.stringify(calls)).answers).toHaveLength(100)
  })

  it('answers no call whose id is neither a name nor a number', () => {
    const deep = `${'['.repeat(50_000)}${']'.repeat(50_000)}`
    for (const id of [deep, '{}', 'null', `"${'x'.repeat(201)}"`])
      expect(readFrame(`{"jsonrpc":"2.0","method":"ping","id":${id}}`).answers).toEqual([])
  })

  it('knows no place in the history that is beyond measure', () => {
    const long = '9'.repeat(200)
    const [first] = readFrame(
      JSON.stringify({ mid: long, tag: long, time: long, text: { command: 'a' } }),
    ).messages
    expect(first).toEqual({ moduleId: '', command: 'a', params: null })
  })
})
