import { once } from 'node:events'
import { connect } from 'node:net'
import { Agent, request } from 'undici'
import { describe, expect, it } from 'vitest'
import { ask, open } from './ask.ts'
import { APPLICATION, CLIENT_ID, callWith, newPair, openWithApplication } from './oauth-client.ts'
import {
  addressOf,
  askConfig,
  commandsIn,
  listen,
  messagesIn,
  OWN,
  openPush,
  refusalOf,
  say,
} from './push-client.ts'

/** A sandbox with an application that may use Push & Pull. */
function openWithPull() {
  return openWithApplication({ applications: [{ ...APPLICATION, scopes: ['pull'] }] })
}

const SIGNED = /^[0-9a-f]{32}\.[0-9a-f]{40}$/
const SIGNED_PAIR = /^[0-9a-f]{32}:[0-9a-f]{32}\.[0-9a-f]{40}$/

// https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-config-get.html
describe('pull.application.config.get', () => {
  it('answers with exactly the documented fields', async () => {
    const { sandbox, config } = await openPush()
    const start = '2026-06-01T15:00:00+03:00'
    const end = '2026-06-02T03:00:05+03:00'
    const socket = `${sandbox.url.replace('http', 'ws')}/subws/`
    const [publicId] = config.channels.private.public_id.split('.')
    expect(config).toEqual({
      server: {
        version: 4,
        server_enabled: true,
        mode: 'personal',
        hostname: sandbox.url.slice(7),
        long_polling: `${sandbox.url}/sub/`,
        long_pooling_secure: `${sandbox.url}/sub/`,
        websocket_enabled: true,
        websocket: socket,
        websocket_secure: socket,
        publish_enabled: true,
        publish: `${sandbox.url}/pub/`,
        publish_secure: `${sandbox.url}/pub/`,
        config_timestamp: 1780315200,
      },
      api: { revision_web: 19, revision_mobile: 3 },
      channels: {
        shared: { id: expect.stringMatching(SIGNED), start, end, type: 'shared' },
        private: {
          id: expect.stringMatching(SIGNED_PAIR),
          public_id: expect.stringMatching(SIGNED),
          start,
          end,
          type: 'private',
        },
      },
      exp: 1780315200 + 86_400,
      publicChannels: {
        1: {
          user_id: 1,
          public_id: publicId,
          signature: expect.stringMatching(/^[0-9a-f]{40}$/),
          start,
          end,
        },
      },
    })
    expect(config.channels.private.id).toContain(`:${publicId}.`)
    expect(await askConfig(sandbox)).toEqual(config)
  })

  it('names the client at its top when the push server is a shared one', async () => {
    const { config } = await openPush({ switches: { pushServer: 'shared' } })
    expect(config.server.mode).toBe('shared')
    expect(config.clientId).toMatch(/^[0-9a-f]{32}$/)
  })

  it('is for applications only, and for portals with a push server', async () => {
    const sandbox = await open({ switches: { pushServer: 'none' } })
    expect(await ask(sandbox, 'pull.application.config.get')).toMatchObject({
      status: 403,
      body: {
        error: 'WRONG_AUTH_TYPE',
        error_description: 'Get access to application config available only for application authorization.',
      },
    })
    expect(await callWith(sandbox, sandbox.accessToken, 'pull.application.config.get')).toMatchObject({
      status: 500,
      body: { error: 'SERVER_ERROR', error_description: 'Push & Pull server is not configured' },
    })
  })

  it('gives each application and each user a channel of their own, and users a shared one', async () => {
    const sandbox = await openWithPull()
    const first = (await newPair(sandbox)).access
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
    const [own, one, two] = await Promise.all([
      askConfig(sandbox),
      askConfig(sandbox, first),
      askConfig(sandbox, token?.access_token),
    ])
    expect(one.channels.shared).toEqual(two.channels.shared)
    const ids = [own.channels.shared.id, one.channels.shared.id]
    const all = [...ids, ...[own, one, two].map(({ channels }) => channels.private.id)]
    expect(new Set(all).size).toBe(5)
  })
})

describe('a WebSocket', () => {
  it('gets what is published while it listens, in the documented frame', async () => {
    const { sandbox, address } = await openPush()
    const listener = await listen(address)
    const { mid } = sandbox.push({ do: 'send', command: 'tell', params: { line: 'a\nb' } })
    const frame = await listener.next()
    expect(String(frame)).not.toContain('\n')
    expect(messagesIn(frame)).toEqual([
      {
        id: 1,
        mid: '17803152000000000000000001',
        channel: '-',
        tag: '672',
        time: 'Mon, 01 Jun 2026 12:00:00 GMT',
        text: {
          module_id: 'application',
          command: 'tell',
          params: { line: 'a\nb' },
          extra: {
            server_time: '2026-06-01T15:00:00+03:00',
            server_time_unix: 1780315200.672,
            server_time_ago: 0,
            server_name: sandbox.url.slice(7),
            revision_web: 19,
            revision_mobile: 3,
          },
        },
      },
    ])
    expect(mid).toBe('17803152000000000000000001')
  })

  it('gets the first message at once and those behind it together, each marked', async () => {
    const { sandbox, address } = await openPush({ switches: { pushBufferMs: 300 } })
    const listener = await listen(address)
    for (const command of ['a', 'b', 'c']) say(sandbox, command)
    expect(commandsIn(await listener.next())).toEqual(['a'])
    expect(commandsIn(await listener.next())).toEqual(['b', 'c'])
    for (const command of ['d', 'e']) say(sandbox, command)
    expect(commandsIn(await listener.next())).toEqual(['d', 'e'])
  })

  it('gets each message alone when nothing is buffered', async () => {
    const { sandbox, address } = await openPush({ switches: { pushBufferMs: 0 } })
    const listener = await listen(address)
    for (const command of ['a', 'b']) say(sandbox, command)
    expect([commandsIn(await listener.next()), commandsIn(await listener.next())]).toEqual([['a'], ['b']])
  })

  it('hears the channels that it named and no others', async () => {
    const { sandbox, config, address } = await openPush({ switches: { pushBufferMs: 0 } })
    const both = await listen(address)
    const shared = await listen(`${config.server.websocket}?CHANNEL_ID=${config.channels.shared.id}`)
    say(sandbox, 'for-user-1', { userId: 1 })
    say(sandbox, 'for-user-2', { userId: 2 })
    say(sandbox, 'for-all')
    expect(commandsIn(await both.next())).toEqual(['for-user-1'])
    expect(commandsIn(await both.next())).toEqual(['for-all'])
    expect(commandsIn(await shared.next())).toEqual(['for-all'])
  })

  it('is served at the long-polling address as well', async () => {
    const { sandbox, address } = await openPush()
    const listener = await listen(address.replace('/subws/', '/sub/'))
    say(sandbox, 'here')
    expect(commandsIn(await listener.next())).toEqual(['here'])
    await expect(refusalOf(address.replace('/subws/', '/elsewhere/'))).resolves.toMatchObject({ status: 404 })
  })

  it('is the only protocol that can be changed to; other offers are passed over', async () => {
    const { sandbox } = await openPush()
    const { hostname, port } = new URL(sandbox.url)
    const socket = connect(Number(port), hostname)
    const body = '{"a":"b"}'
    const head = ['POST /rest/1/s3cr3t/sandbox.echo HTTP/1.1', `Host: ${hostname}:${port}`]
    const offer = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAEAAEAAAAI']
    const rest = ['Content-Type: application/json', `Content-Length: ${body.length}`, '', '']
    socket.write([...head, ...offer, ...rest].join('\r\n'))
    socket.write(body.slice(0, 4))
    setTimeout(() => socket.write(body.slice(4)), 20)
    const [answer] = (await once(socket, 'data')) as [Buffer]
    socket.destroy()
    expect(String(answer)).toMatch(/^HTTP\/1.1 200 OK.*\{"result":\{"a":"b"\}/s)
  })

  it('is served with TLS', async () => {
    const sandbox = await open({ tls: true })
    const ca = sandbox.certificate ?? ''
    const dispatcher = new Agent({ connect: { ca } })
    const answer = await request(
      `${sandbox.url}/rest/pull.application.config.get?auth=${sandbox.accessToken}`,
      { dispatcher },
    )
    const { result } = (await answer.body.json()) as { result: unknown }
    await dispatcher.close()
    expect(addressOf(result)).toMatch(/^wss:/)
    const listener = await listen(addressOf(result), { ca })
    say(sandbox, 'safely')
    expect(commandsIn(await listener.next())).toEqual(['safely'])
  })

  it('is pinged, and dropped when it does not answer', async () => {
    const { address } = await openPush({ switches: { pushPingMs: 200 } })
    const [good, deaf] = await Promise.all([listen(address), listen(address, { autoPong: false })])
    const payload = new Promise<string>((resolve) =>
      good.socket.once('ping', (data) => resolve(data.toString())),
    )
    expect(await payload).toBe('ws ping')
    expect(await deaf.closed()).toEqual({ code: 1006, reason: '' })
    expect(good.socket.readyState).toBe(good.socket.OPEN)
  })

  it('may say nothing that counts, and no more than a mebibyte', async () => {
    const { sandbox, address } = await openPush()
    const listener = await listen(address)
    listener.socket.send('{"anything":1}')
    say(sandbox, 'still-here')
    expect(commandsIn(await listener.next())).toEqual(['still-here'])
    listener.socket.send('x'.repeat(1024 * 1024 + 1))
    expect(await listener.closed()).toMatchObject({ code: 1009 })
  })
})

describe('the names of channels', () => {
  it('spoil the whole list when one of them is wrong', async () => {
    const { config } = await openPush()
    const { private: own, shared } = config.channels
    const wrong = [
      `${own.id}/${shared.id.slice(0, -1)}${shared.id.endsWith('0') ? '1' : '0'}`,
      `${own.id}/${shared.id.split('.')[0]}`,
      own.public_id,
      own.id.replace(/:[^.]*/, ''),
      `${own.id}/`,
      '',
    ]
    for (const list of wrong) {
      const listener = await listen(addressOf(config, { CHANNEL_ID: list }))
      expect(await listener.closed(), list).toEqual({ code: 4010, reason: '4010: Wrong Channel Id.' })
    }
  })

  it('are refused before the upgrade by older servers', async () => {
    const { config } = await openPush({ switches: { pushRefusal: 'status' } })
    const refused = await refusalOf(addressOf(config, { CHANNEL_ID: 'nonsense' }))
    expect(refused).toEqual({ status: 400, body: '4010: Wrong Channel Id.' })
  })

  it('come with a client id on a shared server', async () => {
    const { sandbox, config } = await openPush({ switches: { pushServer: 'shared' } })
    for (const more of [{}, { clientId: 'f'.repeat(32) }] as Record<string, string>[]) {
      const refused = await refusalOf(addressOf(config, more))
      expect(refused).toEqual({ status: 400, body: '4036: Wrong Client Id.' })
    }
    const listener = await listen(addressOf(config, { clientId: config.clientId }))
    say(sandbox, 'welcome')
    expect(commandsIn(await listener.next())).toEqual(['welcome'])
  })

  it('have room for a hundred connections; the oldest makes way', async () => {
    const { address } = await openPush({ switches: { pushConnections: 2 } })
    const [first, second] = [await listen(address), await listen(address)]
    const third = await listen(address)
    expect(await first.closed()).toEqual({ code: 4029, reason: '4029: Too many connections' })
    expect([second, third].map(({ socket }) => socket.readyState)).toEqual([1, 1])
  })

  it('stand in a token from version 5 on', async () => {
    const { sandbox, config } = await openPush({ switches: { pushVersion: 5 } })
    expect(config.server.version).toBe(5)
    const claims = JSON.parse(Buffer.from(config.jwt.split('.')[1], 'base64url').toString())
    expect(claims).toMatchObject({ iat: 1780315200, exp: config.exp, sub: '1' })
    const at = (token: string) => `${config.server.websocket}?token=${token}`
    const listener = await listen(at(config.jwt))
    say(sandbox, 'by-token', { userId: 1 })
    expect(commandsIn(await listener.next())).toEqual(['by-token'])
    const forged = await listen(at(`${config.jwt.slice(0, -4)}AAAA`))
    expect(await forged.closed()).toMatchObject({ code: 4010 })
    sandbox.advance(43_200_000)
    expect(await (await listen(at(config.jwt))).closed()).toMatchObject({ code: 4010 })
  })
})

// https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-event-add.html
describe('pull.application.event.add', () => {
  it('publishes for all users, or for those it names', async () => {
    const { sandbox, address } = await openPush({ switches: { pushBufferMs: 0 } })
    const listener = await listen(address)
    const add = (params: object) =>
      callWith(sandbox, sandbox.accessToken, 'pull.application.event.add', params)
    const sent = [
      { COMMAND: 'all', PARAMS: '{"a":[1]}' },
      { command: 'me', params: { b: 2 }, module_id: 'my.module_1', user_id: [1, 2] },
      { COMMAND: 'other', USER_ID: 2 },
      { COMMAND: 'last:1|x.y-z' },
    ]
    for (const params of sent) expect((await add(params)).body.result).toBe(true)
    const texts = [await listener.next(), await listener.next(), await listener.next()].map(
      (frame) => messagesIn(frame)[0].text,
    )
    expect(texts).toMatchObject([
      { module_id: 'application', command: 'all', params: { a: [1] } },
      { module_id: 'my.module_1', command: 'me', params: { b: 2 } },
      { module_id: 'application', command: 'last:1|x.y-z', params: [] },
    ])
  })

  it.each([
    ['COMMAND_ERROR', { COMMAND: 'a b' }],
    ['COMMAND_ERROR', {}],
    ['MODULE_ID_ERROR', { COMMAND: 'a', MODULE_ID: 'Mine' }],
    ['PARAMS_ERROR', { COMMAND: 'a', PARAMS: '{broken' }],
    ['PARAMS_ERROR', { COMMAND: 'a', PARAMS: 7 }],
  ])('answers with %s to %j', async (error, params) => {
    const { sandbox } = await openPush()
    const answer = await callWith(sandbox, sandbox.accessToken, 'pull.application.event.add', params)
    expect(answer).toMatchObject({ status: 400, body: { error } })
  })

  it('lets users address themselves and all, and only administrators anybody', async () => {
    const sandbox = await openWithPull()
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
    const add = (params: object) =>
      callWith(sandbox, token?.access_token ?? '', 'pull.application.event.add', { COMMAND: 'a', ...params })
    expect((await add({ USER_ID: 1 })).body).toMatchObject({ error: 'USER_ID_ACCESS_ERROR' })
    expect((await add({ USER_ID: [2, 1] })).status).toBe(400)
    expect((await add({ USER_ID: 2 })).body.result).toBe(true)
    expect((await add({})).body.result).toBe(true)
  })

  it('is for applications only', async () => {
    const { sandbox } = await openPush()
    const answer = await ask(sandbox, 'pull.application.event.add', { COMMAND: 'a' })
    expect(answer).toMatchObject({ status: 403, body: { error: 'WRONG_AUTH_TYPE' } })
  })
})

// https://apidocs.bitrix24.com/settings/interactivity/push-and-pull/pull-application-push-add.html
describe('pull.application.push.add', () => {
  it('takes a text for the phones of users', async () => {
    const { sandbox } = await openPush()
    const params = { USER_ID: [1, 2], TEXT: 'Hello', AVATAR: 'https://app.example/a.png' }
    const { body } = await callWith(sandbox, sandbox.accessToken, 'pull.application.push.add', params)
    expect(body.result).toBe(true)
    expect(sandbox.pushState().notifications).toEqual([
      { clientId: OWN, userIds: [1, 2], text: 'Hello', avatar: 'https://app.example/a.png' },
    ])
  })

  it('asks for an application, an administrator, users and a text', async () => {
    const sandbox = await openWithPull()
    const { token } = await sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
    const good = { USER_ID: 1, TEXT: 'Hello' }
    const add = (access: string, params: object) =>
      callWith(sandbox, access, 'pull.application.push.add', params)
    expect((await ask(sandbox, 'pull.application.push.add', good)).body).toEqual({
      error: 'WRONG_AUTH_TYPE',
      error_description: 'Send push notifications available only for application authorization.',
    })
    expect((await add(token?.access_token ?? '', good)).body.error).toBe('ACCESS_ERROR')
    expect((await add(sandbox.accessToken, { USER_ID: 1 })).body.error).toBe('TEXT_ERROR')
    expect((await add(sandbox.accessToken, { TEXT: 'Hello' })).body.error).toBe('ERROR_ARGUMENT')
    sandbox.addApplication({ clientId: 'nameless', title: '' })
    const nameless = await sandbox.app({ do: 'token', clientId: 'nameless' })
    expect((await add(nameless.token?.access_token ?? '', good)).body.error).toBe('EMPTY_APP_NAME')
  })
})
