import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { send } from './ask.ts'
import {
  addressOf,
  askConfig,
  commandsIn,
  listen,
  messagesIn,
  openPush,
  refusalOf,
  say,
} from './push-client.ts'

describe('what a push server does when told', () => {
  it('cuts all connections without a word, or closes them with a code', async () => {
    const { sandbox, config, address } = await openPush()
    const listeners = [await listen(address), await listen(address)]
    sandbox.push({ do: 'cut' })
    for (const { closed } of listeners) expect(await closed()).toEqual({ code: 1006, reason: '' })
    const again = await listen(address)
    sandbox.push({ do: 'cut', code: 4010, reason: 'Wrong Channel Id.' })
    expect(await again.closed()).toEqual({ code: 4010, reason: '4010: Wrong Channel Id.' })
    const held = send(addressOf(config, {}, 'long_polling'))
    while (sandbox.pushState().connections.length === 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    sandbox.push({ do: 'cut' })
    await expect(held).rejects.toThrow()
    expect(sandbox.pushState().connections).toEqual([])
  })

  it('falls silent for those who are there, and serves those who come', async () => {
    const { sandbox, config, address } = await openPush({ switches: { pushPingMs: 150 } })
    const deaf = await listen(address)
    sandbox.push({ do: 'silence' })
    const mid = say(sandbox, 'unheard')
    const answers: string[] = []
    for (const kind of ['ping', 'pong', 'message']) deaf.socket.on(kind, () => answers.push(kind))
    deaf.socket.ping()
    deaf.socket.close()
    const fresh = await listen(addressOf(config, { mid: '0'.repeat(26) }))
    expect(commandsIn(await fresh.next())).toEqual(['unheard'])
    await once(fresh.socket, 'ping')
    await once(fresh.socket, 'ping')
    expect(answers).toEqual([])
    expect(deaf.socket.readyState).toBe(deaf.socket.CLOSING)
    expect(sandbox.pushState().connections).toMatchObject([{ silent: true }, { silent: false }])
    expect(mid).toMatch(/^\d{26}$/)
  })

  it('refuses as many connects as it was told, and keeps the time of each', async () => {
    const { sandbox, config, address } = await openPush()
    sandbox.push({ do: 'refuse', times: 2, status: 503 })
    expect(await refusalOf(address)).toEqual({ status: 503, body: '' })
    sandbox.advance(15_000)
    expect((await send(addressOf(config, {}, 'long_polling'))).status).toBe(503)
    sandbox.push({ do: 'refuse', times: 2, status: 0 })
    expect(await refusalOf(address)).toEqual({ status: 0, body: '' })
    await expect(send(addressOf(config, {}, 'long_polling'))).rejects.toThrow()
    await refusalOf(addressOf(config, { CHANNEL_ID: 'x' })).catch(() => undefined)
    sandbox.advance(45_000)
    const mid = say(sandbox, 'a')
    await listen(addressOf(config, { mid, binaryMode: 'true' }))
    const { connects } = sandbox.pushState()
    const [{ atMs: start } = { atMs: 0 }] = connects
    expect(connects.map(({ atMs, transport, outcome }) => [atMs - start, transport, outcome])).toEqual([
      [0, 'websocket', 'refused'],
      [15_000, 'polling', 'refused'],
      [15_000, 'websocket', 'refused'],
      [15_000, 'polling', 'refused'],
      [15_000, 'websocket', '4010: Wrong Channel Id.'],
      [60_000, 'websocket', 'open'],
    ])
    expect(connects.at(-1)?.asked).toEqual({
      transport: 'websocket',
      channels: [
        ...config.channels.private.id.split('.')[0].split(':'),
        config.channels.shared.id.split('.')[0],
      ],
      format: 'binary',
      mid,
    })
  })

  it('tells that it restarts, and then drops everybody', async () => {
    const { sandbox, address } = await openPush({ switches: { pushBufferMs: 20 } })
    const listener = await listen(address)
    say(sandbox, 'a')
    sandbox.push({ do: 'restart' })
    expect(commandsIn(await listener.next())).toEqual(['a'])
    const [{ text }] = messagesIn(await listener.next())
    expect(text).toMatchObject({ module_id: 'pull', command: 'server_restart', params: {} })
    expect(await listener.closed()).toMatchObject({ code: 1006 })
    await listen(address)
  })

  it.each([
    ['get_config', 0, 'local.sandbox'],
    ['reconnect', 0, 'shared'],
    ['get_config', 1, 'local.sandbox'],
    ['reconnect', 1, 'private'],
  ] as const)('ends a channel with %s for user %i', async (action, userId, type) => {
    const { sandbox, config, address } = await openPush({ switches: { pushBufferMs: 0 } })
    const listener = await listen(address)
    sandbox.push({ do: 'expire-channel', action, userId })
    say(sandbox, 'elsewhere', { userId })
    say(sandbox, 'end', { userId: 1 - userId })
    const [{ text }] = messagesIn(await listener.next())
    const kind = userId === 0 ? 'shared' : 'private'
    const next = (await askConfig(sandbox)).channels[kind]
    const old = config.channels[kind]
    expect(text.params).toEqual({
      action,
      channel: { id: expect.stringContaining(old.id.slice(0, 32)), type },
      ...(action === 'reconnect'
        ? { new_channel: { id: next.id, start: next.start, end: next.end, type } }
        : {}),
    })
    expect(next.id).not.toBe(old.id)
    expect(commandsIn(await listener.next())).toEqual(['end'])
    expect(listener.frames).toEqual([])
  })

  it('tells that the configuration has expired', async () => {
    const { sandbox, address } = await openPush()
    const listener = await listen(address)
    sandbox.push({ do: 'expire-config' })
    expect(messagesIn(await listener.next())).toMatchObject([
      { text: { module_id: 'pull', command: 'config_expire', params: {} } },
    ])
    expect(() => sandbox.push({ do: 'expire-channel', clientId: 'nobody' })).toThrow('nobody has asked')
  })
})

describe('closing the sandbox', () => {
  it('ends all connections, those included that do not answer', async () => {
    const { sandbox, config, address } = await openPush()
    const [listener, deaf, silenced] = [await listen(address), await listen(address), await listen(address)]
    sandbox.push({ do: 'silence' })
    deaf.socket.pause()
    const wrong = await listen(addressOf(config, { CHANNEL_ID: 'x' }))
    wrong.socket.pause()
    const asked = send(addressOf(config, {}, 'long_polling')).catch(() => 'ended')
    await sandbox.close()
    deaf.socket.resume()
    wrong.socket.resume()
    for (const each of [listener, deaf, silenced]) expect((await each.closed()).code).toBe(1006)
    await wrong.closed()
    expect(await asked).toBe('ended')
  })
})

describe('/__sandbox/push', () => {
  it('does the same from another process', async () => {
    const { sandbox, config, address } = await openPush()
    const listener = await listen(address)
    const told = await send(`${sandbox.url}/__sandbox/push`, {
      body: JSON.stringify({ do: 'send', command: 'hello', moduleId: 'my', params: { a: 1 }, userId: 1 }),
    })
    const [message] = messagesIn(await listener.next())
    expect(message).toMatchObject({ mid: told.body.mid, text: { module_id: 'my', command: 'hello' } })
    const { body } = await send(`${sandbox.url}/__sandbox/push`)
    expect(body).toEqual({ ...sandbox.pushState() })
    expect(body.connections).toMatchObject([{ transport: 'websocket', format: 'text', silent: false }])
    expect(config.server.mode).toBe('personal')
  })

  it('says what is not possible', async () => {
    const { sandbox } = await openPush()
    const tell = (body: string) => send(`${sandbox.url}/__sandbox/push`, { body })
    expect(await tell('{"do":"fly"}')).toMatchObject({ status: 400, body: { error: 'NOT_POSSIBLE' } })
    expect(await tell('{')).toMatchObject({ status: 400, body: { error: 'BAD_BODY' } })
    expect(await tell('{"do":"send"}')).toMatchObject({ status: 400, body: { error: 'NOT_POSSIBLE' } })
  })
})
