import { request } from 'undici'
import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { send } from './ask.ts'
import { addressOf, askConfig, commandsIn, listen, messagesIn, openPush, say } from './push-client.ts'

const HOLD = { pushHoldMs: 60 }

/** Waits until somebody listens. */
async function listened(sandbox: Sandbox): Promise<void> {
  while (sandbox.pushState().connections.length === 0) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('the history', () => {
  it('is replayed from a mid on in one frame and in order, and only then what is new', async () => {
    const { sandbox, config } = await openPush()
    const first = say(sandbox, 'a')
    for (const userId of [1, 0, 1]) say(sandbox, `to-${userId}`, { userId })
    const listener = await listen(addressOf(config, { mid: first }))
    say(sandbox, 'new')
    expect(commandsIn(await listener.next())).toEqual(['to-1', 'to-0', 'to-1'])
    expect(commandsIn(await listener.next())).toEqual(['new'])
  })

  it('is not replayed without a mid, for a mid of another length, or when nothing is younger', async () => {
    const { sandbox, config } = await openPush()
    let last = say(sandbox, 'old')
    const wanted = [() => ({}), () => ({ mid: '1' }), () => ({ mid: `${last}0` }), () => ({ mid: last })]
    for (const more of wanted as (() => Record<string, string>)[]) {
      const listener = await listen(addressOf(config, more()))
      last = say(sandbox, 'new')
      expect(
        messagesIn(await listener.next()).map(({ mid }) => mid),
        String(more),
      ).toEqual([last])
      listener.socket.terminate()
    }
  })

  it('keeps a message as long as it was told, and a day at most', async () => {
    const { sandbox, config } = await openPush()
    const first = say(sandbox, 'first')
    say(sandbox, 'a-minute', { expiry: 60 })
    say(sandbox, 'a-week', { expiry: 7 * 86_400 })
    const replay = async () => {
      const listener = await listen(addressOf(config, { mid: first }))
      say(sandbox, 'end', { expiry: 0 })
      return commandsIn(await listener.next())
    }
    expect(await replay()).toEqual(['a-minute', 'a-week'])
    sandbox.advance(59_999)
    expect(await replay()).toEqual(['a-minute', 'a-week'])
    sandbox.advance(1)
    expect(await replay()).toEqual(['a-week'])
    sandbox.advance(86_399_999 - 60_000)
    expect(await replay()).toEqual(['a-week'])
    sandbox.advance(1)
    // The channel itself has ended meanwhile, and its successor is where the new messages are.
    expect(await replay()).toEqual(['channel_expire'])
  })

  it('belongs to a channel and does not move to its successor', async () => {
    const { sandbox, config } = await openPush()
    const first = say(sandbox, 'first')
    say(sandbox, 'second')
    sandbox.advance(43_205_000)
    const after = await askConfig(sandbox)
    expect(after.channels.shared.id).not.toBe(config.channels.shared.id)
    const fresh = await listen(addressOf(after, { mid: first }))
    const stale = await listen(addressOf(config, { mid: first }))
    say(sandbox, 'third')
    expect(commandsIn(await fresh.next())).toEqual(['third'])
    expect(commandsIn(await stale.next())).toEqual(['second', 'channel_expire', 'channel_expire'])
    expect(stale.frames).toEqual([])
  })
})

describe('the life of a channel', () => {
  it('is 43205 seconds, and its listeners are told to ask anew', async () => {
    const { sandbox, config, address } = await openPush({ switches: { pushBufferMs: 0 } })
    const listener = await listen(address)
    sandbox.advance(43_204_999)
    say(sandbox, 'in-time')
    expect((await askConfig(sandbox)).channels).toEqual(config.channels)
    sandbox.advance(1)
    say(sandbox, 'too-late')
    expect(commandsIn(await listener.next())).toEqual(['in-time'])
    const [{ text }] = messagesIn(await listener.next())
    expect(text).toMatchObject({
      module_id: 'pull',
      command: 'channel_expire',
      params: {
        action: 'get_config',
        channel: { id: config.channels.shared.id, type: 'local.sandbox' },
      },
    })
    await askConfig(sandbox)
    expect(commandsIn(await listener.next())).toEqual(['channel_expire'])
    expect(listener.frames).toEqual([])
  })
})

describe('long polling', () => {
  it('ends with the first message', async () => {
    const { sandbox, config } = await openPush()
    const asked = send(addressOf(config, {}, 'long_polling'))
    await listened(sandbox)
    const mid = say(sandbox, 'a')
    say(sandbox, 'b')
    const { status, headers, text } = await asked
    expect([status, headers['content-type'], headers['access-control-allow-origin']]).toEqual([
      200,
      'text/plain',
      '*',
    ])
    expect(commandsIn(text)).toEqual(['a'])
    const next = await send(addressOf(config, { mid }, 'long_polling'))
    expect(commandsIn(next.text)).toEqual(['b'])
    expect(sandbox.pushState().connections).toEqual([])
  })

  it('is held and then answered with 304 and the mid to go on from', async () => {
    const { sandbox, config } = await openPush({ switches: HOLD })
    const poll = (more: Record<string, string> = {}) => send(addressOf(config, more, 'long_polling'))
    const before = await poll()
    expect([before.status, before.text]).toEqual([304, ''])
    expect(before.headers).toMatchObject({
      'last-message-id': '',
      expires: 'Thu, 01 Jan 1973 11:11:01 GMT',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'Last-Message-Id',
    })
    const mid = say(sandbox, 'a')
    expect((await poll()).headers['last-message-id']).toBe(mid)
    expect((await poll({ mid })).headers['last-message-id']).toBe(mid)
    expect((await poll({ mid: mid.replace(/1$/, '0') })).status).toBe(200)
  })

  it('is refused with the number in the body', async () => {
    const { config } = await openPush()
    const refused = await send(addressOf(config, { CHANNEL_ID: 'x' }, 'long_polling'))
    expect([refused.status, refused.text]).toEqual([400, '4010: Wrong Channel Id.'])
  })

  it('is ended with 429 when one too many listens', async () => {
    const { sandbox, config } = await openPush({ switches: { pushConnections: 1 } })
    const first = send(addressOf(config, {}, 'long_polling'))
    await listened(sandbox)
    const second = await listen(addressOf(config))
    expect(await first).toMatchObject({ status: 429, text: '4029: Too many connections' })
    expect(second.socket.readyState).toBe(1)
  })

  it('is forgotten when the client goes away', async () => {
    const { sandbox, config } = await openPush()
    const gone = new AbortController()
    const asked = request(addressOf(config, {}, 'long_polling'), { signal: gone.signal })
    await listened(sandbox)
    gone.abort()
    await expect(asked).rejects.toThrow()
    while (sandbox.pushState().connections.length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
  })
})

describe('other frames', () => {
  it('are JSON arrays where format=json is known', async () => {
    const known = await openPush({ switches: { pushJson: true } })
    const listener = await listen(addressOf(known.config, { format: 'json' }))
    say(known.sandbox, 'a')
    expect(JSON.parse(String(await listener.next()))).toMatchObject([{ id: 1, text: { command: 'a' } }])
    const unknown = await openPush()
    const marked = await listen(addressOf(unknown.config, { format: 'json' }))
    say(unknown.sandbox, 'a')
    expect(commandsIn(await marked.next())).toEqual(['a'])
  })

  it('are protobuf in binary mode, as a decoder of its own reads it', async () => {
    const { sandbox, config } = await openPush()
    const first = say(sandbox, 'x')
    sandbox.push({ do: 'send', command: 'b', params: { long: 'ä'.repeat(200) }, expiry: 300 })
    say(sandbox, 'c')
    const listener = await listen(addressOf(config, { mid: first, binaryMode: 'true' }))
    const frame = await listener.next()
    expect(frame).toBeInstanceOf(Buffer)
    const messages = fieldsOf(fieldsOf(fieldsOf(frame as Buffer)[0]?.[1] as Buffer)[0]?.[1] as Buffer)
    const decoded = messages.map(([field, value]) => [field, Object.fromEntries(fieldsOf(value as Buffer))])
    expect(decoded).toMatchObject([
      [1, { 3: 300, 4: 1780315200, 5: Buffer.from([8, 2]) }],
      [1, { 3: 86_400, 4: 1780315200 }],
    ])
    const [[, b], [, c]] = decoded as [[number, Record<string, Buffer>], [number, Record<string, Buffer>]]
    expect([b[1], c[1]].map((id) => id?.toString('hex'))).toEqual([
      '17803152000000000000000002',
      '17803152000000000000000003',
    ])
    expect(JSON.parse(String(b[2]))).toMatchObject({ command: 'b', params: { long: 'ä'.repeat(200) } })
  })

  it('are calls of JSON-RPC from version 5 on, with pings and confirmations in text', async () => {
    const { sandbox, config } = await openPush({
      switches: { pushVersion: 5, pushPingMs: 200, pushBufferMs: 20 },
    })
    const first = say(sandbox, 'x')
    for (const command of ['a', 'b']) say(sandbox, command)
    const address = `${config.server.websocket}?token=${config.jwt}&jsonRpc=true`
    const missed = await listen(`${address}&mid=${first}`)
    expect(JSON.parse(String(await missed.next()))).toMatchObject([
      { params: { body: { command: 'a' } } },
      { params: { body: { command: 'b' } } },
    ])
    missed.socket.terminate()
    const listener = await listen(address)
    const mid = say(sandbox, 'c')
    expect(JSON.parse(String(await listener.next()))).toEqual({
      jsonrpc: '2.0',
      method: 'incoming.message',
      params: { mid, body: expect.objectContaining({ command: 'c' }), sender: { type: 2 } },
    })
    listener.socket.send(`mack:${mid}`)
    expect(await listener.next()).toBe('ping')
    listener.socket.send('pong')
    expect(await listener.next()).toBe('ping')
    expect(sandbox.pushState().connections.at(-1)).toMatchObject({ format: 'rpc', confirmed: mid })
    expect(await listener.closed()).toMatchObject({ code: 1006 })
  })

  it('have a content type of their own in long polling', async () => {
    const { sandbox, config } = await openPush()
    const mid = say(sandbox, 'a')
    say(sandbox, 'b')
    const { headers } = await send(addressOf(config, { mid, binaryMode: 'true' }, 'long_polling'))
    expect(headers['content-type']).toBe('application/octet-stream')
  })
})

/** The fields of a protobuf message: numbers for varint and fixed32, bytes for the rest. */
function fieldsOf(bytes: Buffer): [number, number | Buffer][] {
  const fields: [number, number | Buffer][] = []
  let at = 0
  const varint = () => {
    let value = 0
    for (let shift = 1; ; shift *= 128) {
      const byte = bytes[at++] ?? 0
      value += (byte & 127) * shift
      if (byte < 128) return value
    }
  }
  while (at < bytes.length) {
    const tag = varint()
    const type = tag & 7
    if (type === 0) fields.push([tag >> 3, varint()])
    else if (type === 5) {
      fields.push([tag >> 3, bytes.readUInt32LE(at)])
      at += 4
    } else {
      const length = varint()
      fields.push([tag >> 3, bytes.subarray(at, at + length)])
      at += length
    }
  }
  return fields
}
