import { expect, it } from 'vitest'
import { handlerUrl } from '../../src/bridge/events/handler-url.ts'
import { addApplicationToken } from '../../src/stores/queries/application-tokens.ts'
import { eventually } from '../conformance/broker.ts'
import { CLIENT_ID, type EventBench, openEventBench } from '../support/events.ts'

/** Calls a method of the portal as the application's administrator. */
async function call(bench: EventBench, method: string, params: object): Promise<unknown> {
  const { token } = await bench.sandbox.app({ do: 'token', clientId: CLIENT_ID })
  const answer = await fetch(`${bench.sandbox.url}/rest/${method}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...params, auth: token?.access_token }),
  })
  const { result, error } = (await answer.json()) as { result?: unknown; error?: string }
  expect(error).toBeUndefined()
  return result
}

/** What came of a kind, as `event` and `data`. */
async function ofKind(bench: EventBench, kind: string, count = 1) {
  const found = () => bench.consumed.filter(({ body }) => body.kind === kind)
  await eventually(() => expect(found().length, kind).toBeGreaterThanOrEqual(count), 10_000)
  return found().map(({ body }) => ({ event: body.event, data: body.data, application: body.application }))
}

it('takes what a portal itself posts: changes, robots, messages, bots, connectors, webhooks', async () => {
  const bench = await openEventBench()
  const { sandbox, memberId } = bench
  const HANDLER = handlerUrl(bench.service.url, memberId, (text) => bench.secrets.fingerprint(text))
  const webhook = sandbox.addOutgoingWebhook({ url: HANDLER, events: ['onCrmContactAdd'] })
  const known = { memberId, label: 'outgoing webhook', token: webhook.applicationToken }
  await addApplicationToken(bench.store.db, bench.secrets, known, Date.now())
  for (const event of ['onCrmDealAdd', 'OnExternalCallStart', 'OnImConnectorMessageAdd'])
    await call(bench, 'event.bind', { event, handler: HANDLER })
  const id = await call(bench, 'crm.deal.add', { fields: { TITLE: 'Kettle' } })
  expect(await ofKind(bench, 'event')).toEqual([
    { event: 'ONCRMDEALADD', data: { FIELDS: { ID: String(id) } }, application: CLIENT_ID },
  ])

  const robot = {
    CODE: 'ship',
    NAME: 'Ship',
    AUTH_USER_ID: 1,
    USE_SUBSCRIPTION: 'Y',
    PROPERTIES: { city: { Name: 'City' } },
  }
  await call(bench, 'bizproc.robot.add', { ...robot, HANDLER })
  await sandbox.trigger({ do: 'robot', clientId: CLIENT_ID, code: 'ship', properties: { city: 'Köln' } })
  const [ship] = await ofKind(bench, 'robot')
  expect(ship).toMatchObject({
    event: 'ship',
    application: CLIENT_ID,
    data: { properties: { city: 'Köln' } },
  })
  const token = ship?.data.event_token
  expect(await call(bench, 'bizproc.event.send', { event_token: token, RETURN_VALUES: {} })).toBe(true)
  await sandbox.trigger({ do: 'workflow-webhook', url: HANDLER })
  expect(await ofKind(bench, 'workflow')).toMatchObject([
    { data: { document_id: ['crm', 'CCrmDocumentDeal', 'DEAL_7'] } },
  ])

  await call(bench, 'messageservice.sender.add', {
    CODE: 'pigeon',
    TYPE: 'SMS',
    NAME: 'Pigeon post',
    HANDLER,
  })
  const sms = { do: 'sms', clientId: CLIENT_ID, code: 'pigeon', to: '+491512345', text: 'Grüße' } as const
  await sandbox.trigger({ ...sms, authorId: 2 })
  // Nothing in it proves whose it is but the address that it came to.
  await sandbox.trigger({ ...sms, authorId: 0 })
  const messages = await ofKind(bench, 'message', 2)
  expect(messages.map(({ data }) => data.message_body)).toEqual(['Grüße', 'Grüße'])
  expect(messages.map(({ application }) => application)).toEqual([CLIENT_ID, CLIENT_ID])

  const botId = Number(
    await call(bench, 'imbot.register', {
      CODE: 'helper',
      EVENT_HANDLER: HANDLER,
      PROPERTIES: { NAME: 'Helper' },
    }),
  )
  await sandbox.trigger({ do: 'say', botId, userId: 2, text: 'Hello' })
  const bots = await ofKind(bench, 'bot')
  expect(bots.find(({ event }) => event === 'ONIMBOTMESSAGEADD')?.data).toMatchObject({
    BOT: { [botId]: { BOT_ID: String(botId), BOT_CODE: 'helper' } },
    PARAMS: { MESSAGE: 'Hello', FROM_USER_ID: '2' },
  })

  const fields = {
    code: 'younger',
    properties: { name: 'Younger' },
    eventMode: 'webhook',
    webhookUrl: HANDLER,
  }
  await call(bench, 'imbot.v2.Bot.register', { fields })
  const youngerId = sandbox.work().bots.find(({ code }) => code === 'younger')?.id ?? 0
  await sandbox.trigger({ do: 'say', botId: youngerId, userId: 2, text: 'Hello' })
  const younger = await ofKind(bench, 'bot', bots.length + 1)
  expect(younger.find(({ event }) => event === 'ONIMBOTV2MESSAGEADD')?.data).toMatchObject({
    // Its tokens were beside these two.
    bot: { id: String(youngerId), code: 'younger' },
    message: { text: 'Hello', isSystem: '0' },
  })
  expect(JSON.stringify(younger)).not.toMatch(/"auth"|_token"/)

  await call(bench, 'imconnector.register', { ID: 'pigeons', NAME: 'Pigeons', PLACEMENT_HANDLER: HANDLER })
  await call(bench, 'imconnector.activate', { CONNECTOR: 'pigeons', LINE: 3, ACTIVE: 1 })
  await sandbox.trigger({
    do: 'operator',
    connector: 'pigeons',
    line: 3,
    chat: 'roof',
    text: 'Coo',
    userId: 2,
  })
  expect(await ofKind(bench, 'connector')).toMatchObject([
    { data: { CONNECTOR: 'pigeons', MESSAGES: [{ chat: { id: 'roof' } }] } },
  ])
  await call(bench, 'event.bind', { event: 'OnImConnectorStatusDelete', handler: HANDLER })
  await sandbox.trigger({ do: 'disconnect', connector: 'pigeons', line: 3 })
  expect((await ofKind(bench, 'connector', 2)).at(-1)).toMatchObject({
    event: 'ONIMCONNECTORSTATUSDELETE',
    data: { connector: 'pigeons', line: '3' },
  })

  const data = { PHONE_NUMBER: '+491512345', CALL_ID: 'externalCall.1' }
  await sandbox.changeData({ do: 'raise', event: 'OnExternalCallStart', data, userId: 2 })
  await call(bench, 'crm.contact.add', { fields: { NAME: 'Ada' } })
  const [, start, added] = await ofKind(bench, 'event', 3)
  expect(start).toMatchObject({ event: 'ONEXTERNALCALLSTART', data, application: CLIENT_ID })
  expect(added).toMatchObject({ event: 'ONCRMCONTACTADD', application: null })
  expect(sandbox.events().filter(({ outcome }) => outcome !== 'delivered')).toEqual([])
}, 60_000)
