import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { listSpares } from '../../src/stores/queries/spare-tokens.ts'
import { findTokens } from '../../src/stores/queries/tokens.ts'
import { eventually } from '../conformance/broker.ts'
import { CLIENT_ID, openEventBench, type PostOptions, WEBHOOK_TOKEN } from '../support/events.ts'

it('publishes an event of an application once it is verified, without its tokens', async () => {
  const bench = await openEventBench()
  const form = {
    event: 'onCrmDealUpdate',
    event_handler_id: '58',
    'data[FIELDS][ID]': '7',
    ts: '1727018926',
    ...bench.auth({ 'auth[access_token]': 'marked-access-0123456789', 'auth[user_id]': '1' }),
  }
  expect(await bench.post(form)).toEqual({ status: 200, text: '{"status":"ok"}' })
  const [event] = await bench.events('ONCRMDEALUPDATE')
  expect(event?.routingKey).toBe(`event.${bench.memberId}.oncrmdealupdate`)
  expect(event?.body).toMatchObject({
    kind: 'event',
    portal: { member_id: bench.memberId, domain: bench.sandbox.identity().domain },
    application: 'local.events',
    event: 'ONCRMDEALUPDATE',
    data: { FIELDS: { ID: '7' } },
    actor: { user_id: '1' },
    ts: '2024-09-22T15:28:46.000Z',
    synthetic: false,
  })
  expect(JSON.stringify(event)).not.toContain('marked-access')
  expect(event?.message.messageId).toBe(event?.body.key)
})

it("publishes the application's own life as well", async () => {
  const bench = await openEventBench()
  const [installed] = await bench.events('ONAPPINSTALL')
  expect(installed?.body).toMatchObject({ kind: 'app', application: 'local.events' })
  const form = { event: 'ONAPPUNINSTALL', 'data[CLEAN]': '0', ts: '1727018926', ...bench.auth() }
  expect((await bench.post(form)).status).toBe(200)
  const [gone] = await bench.events('ONAPPUNINSTALL')
  expect(gone?.body).toMatchObject({ kind: 'app', application: 'local.events', data: { CLEAN: '0' } })
})

it('turns away what it cannot verify, and publishes nothing of it', async () => {
  const bench = await openEventBench()
  const form = { event: 'ONCRMDEALADD', 'data[FIELDS][ID]': '1', ts: '1' }
  const refused = { status: 403, text: '{"status":"error","error":"invalid_application_token"}' }
  expect(await bench.post({ ...form, ...bench.auth({ 'auth[application_token]': 'x'.repeat(32) }) })).toEqual(
    refused,
  )
  expect(await bench.post({ ...form, ...bench.auth({ 'auth[member_id]': 'a'.repeat(32) }) })).toEqual(refused)
  expect(await bench.post(form)).toEqual(refused)
  expect(
    await bench.post({ ...form, ...bench.auth({ 'auth[application_token]': WEBHOOK_TOKEN }) }),
  ).toMatchObject({
    status: 200,
  })
  const [event] = await bench.events('ONCRMDEALADD')
  expect(event?.body.application).toBeNull()
  expect(bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALADD')).toHaveLength(1)
})

it('accepts nothing of an application that was uninstalled', async () => {
  const bench = await openEventBench()
  const event = { event: 'ONCRMDEALADD', 'data[FIELDS][ID]': '1', ts: '1', ...bench.auth() }
  expect((await bench.post(event)).status).toBe(200)
  const gone = { event: 'ONAPPUNINSTALL', 'data[CLEAN]': '1', ts: '2', ...bench.auth() }
  expect((await bench.post(gone)).status).toBe(200)
  expect((await bench.post({ ...event, ts: '3' })).status).toBe(403)
  expect((await bench.post(gone)).status).toBe(403)
})

it('keeps a refresh token of an event as a second chain, and never in the place of the one in use', async () => {
  const bench = await openEventBench()
  const { memberId } = bench
  const key = { memberId, clientId: CLIENT_ID, userId: '1' }
  const before = await findTokens(bench.store.db, bench.secrets, key)
  const form = {
    event: 'ONIMBOTMESSAGEADD',
    'data[PARAMS][MESSAGE]': 'hello',
    ts: '1727018926',
    ...bench.auth({
      'auth[access_token]': 'marked-event-access-0123456789',
      'auth[refresh_token]': 'marked-event-refresh-0123456789',
      'auth[expires_in]': '3600',
      'auth[user_id]': '1',
    }),
  }
  expect((await bench.post(form)).status).toBe(200)
  const spares = () => listSpares(bench.store.db, bench.secrets, key)
  await eventually(async () =>
    expect(await spares()).toMatchObject([
      { source: 'event', refreshToken: 'marked-event-refresh-0123456789' },
    ]),
  )
  expect(await findTokens(bench.store.db, bench.secrets, key)).toEqual(before)
  const [event] = await bench.events('ONIMBOTMESSAGEADD')
  expect(event?.body).toMatchObject({ kind: 'bot', data: { PARAMS: { MESSAGE: 'hello' } } })
})

it('lends the access token of a user without a pair to commands in that name, and to no others', async () => {
  const bench = await openEventBench()
  const { token } = await bench.sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
  const form = {
    event: 'ONCRMDEALADD',
    'data[FIELDS][ID]': '1',
    ts: '1727018926',
    ...bench.auth({ 'auth[access_token]': token?.access_token ?? '', 'auth[user_id]': '2' }),
  }
  const ask = async (body: unknown) => {
    const answer = await fetch(`${bench.service.url}/v1/commands`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await answer.json()) as { outcome?: string; result?: { ID?: string } }
  }
  const asTwo = { portal: bench.memberId, as: '2', method: 'profile' }
  expect((await ask(asTwo)).outcome).not.toBe('done')
  expect((await bench.post(form)).status).toBe(200)
  await eventually(async () =>
    expect(await ask(asTwo)).toMatchObject({ outcome: 'done', result: { ID: '2' } }),
  )
  expect(await ask({ portal: bench.memberId, method: 'profile' })).toMatchObject({ result: { ID: '1' } })
})

it('does nothing in the name of a user with a token of somebody else, whatever an event says', async () => {
  const bench = await openEventBench()
  const { token } = await bench.sandbox.app({ do: 'token', clientId: CLIENT_ID, userId: 2 })
  const form = {
    event: 'ONCRMDEALADD',
    'data[FIELDS][ID]': '1',
    ts: '1727018926',
    // Who opens a page of the application knows its application token, and has a token of his own.
    ...bench.auth({ 'auth[access_token]': token?.access_token ?? '', 'auth[user_id]': '3' }),
  }
  expect((await bench.post(form)).status).toBe(200)
  const profiles = () => bench.sandbox.stats().commands.profile ?? 0
  const before = profiles()
  const body = JSON.stringify({ portal: bench.memberId, as: '3', method: 'crm.deal.add' })
  await eventually(async () => {
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(`${bench.service.url}/v1/commands`, { method: 'POST', headers, body })
    expect(await answer.json()).toMatchObject({ error: { code: 'USER_UNKNOWN' } })
    expect(profiles()).toBe(before + 1)
  })
  expect(bench.sandbox.stats().commands['crm.deal.add']).toBeUndefined()
})

it('takes every kind of call that a portal makes, each under its own name', async () => {
  const bench = await openEventBench()
  const auth = bench.auth()
  const robot = {
    workflow_id: '63f4',
    code: 'my_Robot',
    'document_id[0]': 'crm',
    'document_id[1]': 'CCrmDocumentDeal',
    'document_id[2]': 'DEAL_7',
    event_token: 'workflow|activity|0123456789abcdef.hmac',
    'properties[text]': 'x',
    use_subscription: 'Y',
    ts: '1727018926',
    ...bench.auth({ 'auth[access_token]': 'marked-robot-access-0123456789' }),
  }
  const sms = {
    module_id: 'crm',
    type: 'SMS',
    code: 'my_sms',
    message_id: 'a'.repeat(32),
    message_to: '+79990000000',
    message_body: 'Hello',
    'bindings[0][OWNER_TYPE_ID]': '2',
    ts: '1727018926',
  }
  const posts: [Record<string, string>, string?][] = [
    [robot],
    [{ ...sms, ...auth }],
    [{ ...sms, message_id: 'b'.repeat(32) }, bench.handler()],
    [{ 'document_id[0]': 'crm', 'document_id[2]': 'DEAL_1' }, bench.handler()],
    [{ error: 'ERROR_PLACEMENT_LOADING_OVERTIME' }, bench.handler()],
    [
      {
        event: 'ONIMCONNECTORMESSAGEADD',
        'data[CONNECTOR]': 'c',
        'data[MESSAGES][0][im][chat_id]': '1',
        ts: '1',
        ...auth,
      },
    ],
    [{ event: 'ONEXTERNALCALLSTART', 'data[PHONE_NUMBER]': '+7', 'data[CALL_ID]': 'c1', ts: '1', ...auth }],
    [
      {
        event: 'ONTASKADD',
        'data[FIELDS_BEFORE]': 'undefined',
        'data[FIELDS_AFTER][ID]': '3',
        ts: '1',
        ...auth,
      },
    ],
    [
      {
        event: 'ONIMBOTV2MESSAGEADD',
        'data[bot][id]': '5',
        'data[bot][auth][access_token]': 'marked-bot-0123456789',
        ts: '1',
        ...auth,
      },
    ],
    [
      {
        event: 'ONIMBOTMESSAGEADD',
        'data[BOT][567][BOT_ID]': '567',
        'data[BOT][567][AUTH][refresh_token]': 'marked-old-bot-0123456789',
        ts: '1',
        ...auth,
      },
    ],
  ]
  for (const [form, path] of posts)
    expect(await bench.post(form, path === undefined ? {} : { path })).toMatchObject({ status: 200 })
  await eventually(() => expect(bench.consumed.length).toBe(posts.length + 1))
  const found = bench.consumed.slice(1).map(({ body, routingKey }) => {
    const { kind, event, data, application } = body
    return { kind, event, data, application, key: routingKey.split('.')[0] }
  })
  const app = CLIENT_ID
  expect(found).toMatchObject([
    {
      kind: 'robot',
      event: 'my_Robot',
      application: app,
      data: {
        event_token: robot.event_token,
        document_id: ['crm', 'CCrmDocumentDeal', 'DEAL_7'],
        properties: { text: 'x' },
      },
    },
    {
      kind: 'message',
      event: 'my_sms',
      application: app,
      data: { message_to: '+79990000000', bindings: [{ OWNER_TYPE_ID: '2' }] },
    },
    { kind: 'message', event: 'my_sms', application: app },
    {
      kind: 'workflow',
      event: 'OUTGOINGWEBHOOK',
      application: null,
      data: { document_id: { 0: 'crm', 2: 'DEAL_1' } },
    },
    { kind: 'app', event: 'ERROR_PLACEMENT_LOADING_OVERTIME' },
    { kind: 'connector', event: 'ONIMCONNECTORMESSAGEADD', data: { MESSAGES: [{ im: { chat_id: '1' } }] } },
    { kind: 'event', event: 'ONEXTERNALCALLSTART', data: { CALL_ID: 'c1' } },
    { kind: 'event', event: 'ONTASKADD', data: { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: { ID: '3' } } },
    { kind: 'bot', event: 'ONIMBOTV2MESSAGEADD', data: { bot: { id: '5' } } },
    { kind: 'bot', event: 'ONIMBOTMESSAGEADD', data: { BOT: { 567: { BOT_ID: '567' } } } },
  ])
  expect(found.map(({ key }) => key)).toEqual(found.map(({ kind }) => kind))
  expect(bench.consumed.map(({ message }) => message.body.toString()).join()).not.toContain('marked')
})

it('takes the same event once, and two of the same second as two when they differ', async () => {
  const bench = await openEventBench()
  const form = {
    event: 'ONCRMDEALUPDATE',
    event_handler_id: '5',
    'data[FIELDS][ID]': '7',
    ts: '1727018926',
    ...bench.auth(),
  }
  for (let i = 0; i < 5; i++) expect((await bench.post(form)).status).toBe(200)
  expect((await bench.post({ ...form, 'data[FIELDS][ID]': '8' })).status).toBe(200)
  expect((await bench.post({ ...form, event_handler_id: '6' })).status).toBe(200)
  await bench.events('ONCRMDEALUPDATE', 3)
  expect(bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALUPDATE')).toHaveLength(3)
  const metrics = await (await fetch(`${bench.service.url}/metrics`)).text()
  expect(metrics).toContain('b24_events_received_total{result="duplicate"} 4')
})

it('answers bad requests with what is wrong, publishes nothing, and goes on', async () => {
  const bench = await openEventBench()
  const good = { event: 'ONCRMDEALADD', 'data[FIELDS][ID]': '1', ts: '1', ...bench.auth() }
  const form = (more: string): string => `${new URLSearchParams(good)}&${more}`
  const cases: [string, string, number, PostOptions?][] = [
    ['5 MB', form(`data[x]=${'x'.repeat(5 * 1024 * 1024)}`), 413],
    ['10,000 deep', form(`data${'[a]'.repeat(10_000)}=1`), 400],
    ['__proto__', form('__proto__[x]=1'), 400],
    ['constructor', form('data[constructor][prototype]=1'), 400],
    ['a member id twice, as a list', form('auth[member_id][]=x'), 400],
    ['JSON', '{"event":"ONCRMDEALADD"}', 415, { headers: { 'content-type': 'application/json' } }],
    [
      'an alphabet of its own',
      form(''),
      415,
      { headers: { 'content-type': 'application/x-www-form-urlencoded; charset=windows-1251' } },
    ],
    ['compressed', form(''), 415, { headers: { 'content-encoding': 'gzip' } }],
    ['nothing', '', 404],
    ['a page', `PLACEMENT=DEFAULT&AUTH_ID=x&${new URLSearchParams(bench.auth())}`, 404],
    ['a name that is none', form('event=%00'), 400],
    ['a long name', form(`event=${'X'.repeat(300)}`), 400],
  ]
  for (const [what, body, status, options] of cases) {
    const answer = await bench.post(body, options)
    expect({ what, status: answer.status }).toEqual({ what, status })
    expect(JSON.parse(answer.text)).toMatchObject({ error: expect.any(String) })
  }
  const get = await bench.post('', { method: 'GET' })
  expect(get).toMatchObject({ status: 200, text: expect.stringContaining('portals post their events') })
  expect(({} as Record<string, unknown>).x).toBeUndefined()
  expect((await bench.post(good)).status).toBe(200)
  await bench.events('ONCRMDEALADD')
  expect(bench.consumed.map(({ body }) => body.event)).toEqual(['ONAPPINSTALL', 'ONCRMDEALADD'])
})

it('takes wrong encodings and the last of equal fields', async () => {
  const bench = await openEventBench()
  const body = `event=ONCRMDEALADD&data[FIELDS][ID]=1&data[FIELDS][ID]=2&data[bytes]=%CF%F0&data[percent]=50%&ts=1&${new URLSearchParams(bench.auth())}`
  expect((await bench.post(body)).status).toBe(200)
  const [event] = await bench.events('ONCRMDEALADD')
  expect(event?.body.data).toEqual({ FIELDS: { ID: '2' }, bytes: '\uFFFD\uFFFD', percent: '50%' })
})

it('writes no secret of an event anywhere, whatever becomes of it', async () => {
  const bench = await openEventBench({ env: { BRIDGE_EVENTS_RAW: 'true' } })
  const marked = {
    'auth[access_token]': 'marked-access-0123456789',
    'auth[refresh_token]': 'marked-refresh-0123456789',
    'auth[user_id]': '9',
  }
  const form = {
    event: 'ONCALENDARENTRYADD',
    'data[id]': '1',
    'data[text]': 'marked-access-0123456789',
    ts: '1',
  }
  expect((await bench.post({ ...form, ...bench.auth(marked) })).status).toBe(200)
  expect(
    (
      await bench.post({
        ...form,
        ...bench.auth({ ...marked, 'auth[application_token]': 'marked-forged-0123456789' }),
      })
    ).status,
  ).toBe(403)
  expect(
    (await bench.post({ ...form, ...bench.auth(marked) }, { headers: { 'content-encoding': 'gzip' } }))
      .status,
  ).toBe(415)
  const [event] = await bench.events('ONCALENDARENTRYADD')
  expect(event?.body.raw).toMatchObject({ event: 'ONCALENDARENTRYADD', data: { id: '1', text: '•••' } })
  const whose = { memberId: bench.memberId, clientId: CLIENT_ID, userId: '9' }
  await eventually(async () => expect(await listSpares(bench.store.db, bench.secrets, whose)).toHaveLength(2))
  const seen = [
    bench.logs(),
    JSON.stringify(bench.consumed),
    await (await fetch(`${bench.service.url}/metrics`)).text(),
    ...readdirSync(bench.folder).map((name) => readFileSync(join(bench.folder, name), 'latin1')),
  ].join('\n')
  expect(seen).toContain('event.refused')
  for (const secret of [
    ...Object.values(marked).slice(0, 2),
    'marked-forged-0123456789',
    bench.applicationToken,
    new URL(`http://x${bench.handler()}`).searchParams.get('key') ?? '',
  ])
    expect(seen.includes(secret), secret).toBe(false)
})

it('turns away event requests from addresses that are not published, where it is told to', async () => {
  const bench = await openEventBench({
    env: (sandbox) => ({
      BRIDGE_EVENT_SOURCES: 'enforce',
      BRIDGE_EVENT_SOURCE_LISTS: `${sandbox.url}/webhook/app.json,${sandbox.url}/webhook/app-world.json`,
      BRIDGE_TRUSTED_PROXIES: '127.0.0.0/8',
    }),
  })
  const form = { event: 'ONCRMDEALADD', 'data[FIELDS][ID]': '1', ts: '1', ...bench.auth() }
  expect((await bench.post(form)).status).toBe(200)
  const from = (address: string) => ({ headers: { 'x-forwarded-for': address } })
  const refused = await bench.post({ ...form, ts: '2' }, from('203.0.113.9'))
  expect(refused).toMatchObject({ status: 403, text: expect.stringContaining('SOURCE_NOT_LISTED') })
  expect((await bench.post({ ...form, ts: '3' }, from('203.0.113.9, 127.0.0.1'))).status).toBe(403)
  expect(bench.logs()).toContain('event.stranger')
})

it('sums up in the log what came, in one line for many', async () => {
  const bench = await openEventBench()
  for (const ts of ['1', '2', '3'])
    expect((await bench.post({ event: 'ONCRMDEALADD', ts, ...bench.auth() })).status).toBe(200)
  await bench.service.stop()
  const lines = bench
    .logs()
    .split('\n')
    .filter((line) => line.includes('event.summary'))
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ published: 4 }])
})
