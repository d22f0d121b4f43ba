import { expect, it } from 'vitest'
import { listSpares } from '../../src/stores/queries/spare-tokens.ts'
import { findTokens } from '../../src/stores/queries/tokens.ts'
import { eventually } from '../conformance/broker.ts'
import { CLIENT_ID, openEventBench, WEBHOOK_TOKEN } from '../support/events.ts'

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
