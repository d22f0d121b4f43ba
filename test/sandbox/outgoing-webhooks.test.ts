import { describe, expect, it } from 'vitest'
import { openApplication } from './application.ts'
import { ask, send } from './ask.ts'

const EVENTS = ['onCrmDealAdd', 'ONCRMDEALUPDATE']

// https://apidocs.bitrix24.com/local-integrations/local-webhooks.html
describe('an outgoing webhook', () => {
  it('is told with exactly five auth keys, one of them its own token', async () => {
    const { sandbox, app, call } = await openApplication()
    const made = sandbox.addOutgoingWebhook({ url: `${app.url}hook?key=1`, events: EVENTS })
    await call('crm.deal.update', { id: 7, fields: { TITLE: 'x' } })
    await expect.poll(() => app.received.length).toBe(1)
    const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
    expect(app.received[0]?.url.search).toBe('?key=1')
    expect(app.received[0]?.form).toEqual({
      event: 'ONCRMDEALUPDATE',
      event_handler_id: String(made.id),
      data: { FIELDS: { ID: '7' } },
      ts: '1780315200',
      auth: {
        domain,
        server_endpoint: serverEndpoint,
        client_endpoint: clientEndpoint,
        member_id: memberId,
        application_token: made.applicationToken,
      },
    })
    const applicationToken = (await sandbox.app({ do: 'token', clientId: 'local.sandbox' })).applicationToken
    expect(made.applicationToken).not.toBe(applicationToken)
  })

  it('is in no list of an application, and needs none', async () => {
    const { sandbox, app, call } = await openApplication()
    sandbox.addOutgoingWebhook({ url: app.url, events: EVENTS, applicationToken: 'made-up' })
    expect((await call('event.get')).body.result).toEqual([])
    await sandbox.app({ do: 'uninstall', clientId: 'local.sandbox' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(app.received[0]?.form.auth.application_token).toBe('made-up')
  })

  it('is made and removed by control requests, on one portal', async () => {
    const { sandbox, app } = await openApplication({ host: '0.0.0.0' })
    const at = `${sandbox.url}/__sandbox/webhooks`
    const { body } = await send(at, { body: JSON.stringify({ url: app.url, events: EVENTS }) })
    expect(body).toEqual({
      id: expect.any(Number),
      url: app.url,
      events: ['ONCRMDEALADD', 'ONCRMDEALUPDATE'],
      applicationToken: expect.stringMatching(/^[0-9a-f]{32}$/),
    })
    await sandbox.changeData({ do: 'add', entity: 'deal' }, '127.0.0.2')
    expect(app.received).toHaveLength(0)
    const removal = { body: JSON.stringify({ remove: body.id }) }
    expect([(await send(at, removal)).body, (await send(at, removal)).body]).toEqual([true, false])
    await ask(sandbox, 'crm.deal.add', { fields: { TITLE: 'x' } })
    expect(sandbox.stats().events).toEqual({})
  })

  it.each([
    [{ url: 'http://localhost/x', events: EVENTS }, 'Wrong handler URL'],
    [{ url: 'https://x.example/', events: [] }, 'an outgoing webhook needs events'],
    [{ url: 'https://x.example/', events: ['OnAppInstall'] }, 'ONAPPINSTALL is for applications only'],
    [
      { url: 'https://x.example/', events: ['OnExternalCallStart'] },
      'ONEXTERNALCALLSTART is for applications only',
    ],
  ])('cannot be %j', async (options, text) => {
    const { sandbox } = await openApplication()
    expect(() => sandbox.addOutgoingWebhook(options)).toThrow(text)
    const reply = await send(`${sandbox.url}/__sandbox/webhooks`, { body: JSON.stringify(options) })
    expect([reply.status, reply.body.error_description]).toEqual([400, text])
  })
})
