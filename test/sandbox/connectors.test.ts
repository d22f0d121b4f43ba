import { describe, expect, it } from 'vitest'
import { type Bench, openApplication } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID } from './oauth-client.ts'

const LINE = { CONNECTOR: 'pigeons', LINE: 3 }
const OPERATOR = { do: 'operator', connector: 'pigeons', line: 3, chat: 'roof', text: 'Coo' } as const

/** With a connector that is active on line 3, and handlers bound for its events. */
async function openWithConnector(): Promise<Bench> {
  const bench = await openApplication()
  const { app, call } = bench
  const connector = { ID: 'pigeons', NAME: 'Pigeons', PLACEMENT_HANDLER: `${app.url}settings` }
  expect((await call('imconnector.register', connector)).body.result).toEqual({ result: true })
  expect((await call('imconnector.activate', { ...LINE, ACTIVE: 1 })).body.result).toBe(true)
  for (const event of ['OnImConnectorMessageAdd', 'OnImConnectorStatusDelete'])
    expect((await call('event.bind', { event, handler: `${app.url}line` })).body.result).toBe(true)
  return bench
}

// https://apidocs.bitrix24.com/api-reference/imopenlines/imconnector/events/on-im-connector-message-add.html
describe('a connector of open lines', () => {
  it('is told what an operator wrote, and says that it was delivered', async () => {
    const { sandbox, app, call } = await openWithConnector()
    const { lineMessageId } = await sandbox.trigger({ ...OPERATOR, userId: 2 })
    const { form } = app.received[0]!
    expect(form).toMatchObject({
      event: 'ONIMCONNECTORMESSAGEADD',
      data: {
        CONNECTOR: 'pigeons',
        LINE: '3',
        MESSAGES: [
          {
            im: { chat_id: '1', message_id: String(lineMessageId) },
            message: { user_id: '2', text: 'Coo' },
            chat: { id: 'roof' },
          },
        ],
      },
      auth: { user_id: '2' },
    })
    expect(sandbox.work().lineMessages).toMatchObject([{ from: 'operator', state: 'sent' }])
    const [{ im }] = form.data.MESSAGES
    const MESSAGES = [{ im, message: { id: ['p1'] }, chat: { id: 'roof' } }]
    const { body } = await call('imconnector.send.status.delivery', { ...LINE, MESSAGES })
    expect(body.result.SUCCESS).toBe(true)
    expect(sandbox.work().lineMessages).toMatchObject([{ state: 'delivered' }])
    const strange = [{ im: { message_id: 99 } }]
    const unknown = await call('imconnector.send.status.delivery', { ...LINE, MESSAGES: strange })
    expect(unknown.body.result.SUCCESS).toBe(false)
  })

  it('brings what clients wrote', async () => {
    const { sandbox, call } = await openWithConnector()
    const message = { user: { id: 'u1' }, message: { id: 'm1', text: 'Bread?' }, chat: { id: 'roof' } }
    const { body } = await call('imconnector.send.messages', { ...LINE, MESSAGES: [message] })
    expect(body.result).toEqual({
      SUCCESS: true,
      DATA: { RESULT: [{ ...message, SUCCESS: true, session: { ID: '1', CHAT_ID: '1' } }] },
    })
    await sandbox.trigger(OPERATOR)
    expect(sandbox.work().lineMessages).toMatchObject([
      { chatId: 1, from: 'client', text: 'Bread?' },
      { chatId: 1, from: 'operator', text: 'Coo' },
    ])
  })

  it('is told in small letters that it was taken off a line', async () => {
    const { sandbox, app, call } = await openWithConnector()
    await sandbox.trigger({ do: 'disconnect', connector: 'pigeons', line: 3 })
    expect(app.received[0]?.form).toMatchObject({
      event: 'ONIMCONNECTORSTATUSDELETE',
      data: { connector: 'pigeons', line: '3' },
    })
    expect((await call('imconnector.status', LINE)).body.result).toMatchObject({ STATUS: false })
    await expect(sandbox.trigger(OPERATOR)).rejects.toThrow('not active on line 3')
    const { status, body } = await call('imconnector.send.messages', { ...LINE, MESSAGES: [{}] })
    expect([status, body.error]).toEqual([400, 'NOT_ACTIVE_LINE'])
  })

  it.each([
    [{ CONNECTOR: '' }, 'ERROR_ARGUMENT'],
    [{ CONNECTOR: 'other' }, 'IMCONNECTOR_NOT_SPECIFIED_CORRECT_CONNECTOR'],
    [{ LINE: '' }, 'ERROR_ARGUMENT'],
    [{ LINE: 4 }, 'NOT_ACTIVE_LINE'],
    [{ MESSAGES: [] }, 'ERROR_ARGUMENT'],
    [{ MESSAGES: ['x'] }, '100'],
    [{ MESSAGES: [{ user: { id: 'u' } }] }, 'IMCONNECTOR_NOT_ALL_THE_REQUIRED_DATA'],
  ])('cannot bring messages with %j', async (wrong, error) => {
    const { call } = await openWithConnector()
    const { status, body } = await call('imconnector.send.messages', { ...LINE, MESSAGES: [{}], ...wrong })
    expect([status, body.error]).toEqual([400, error])
  })

  it('is of applications only, and has a page of settings', async () => {
    const { sandbox, call, app } = await openWithConnector()
    const webhook = await ask(sandbox, 'imconnector.status', LINE)
    expect([webhook.status, webhook.body.error]).toEqual([403, 'WRONG_AUTH_TYPE'])
    const placement = 'SETTING_CONNECTOR'
    const { form } = await sandbox.app({ do: 'open', clientId: CLIENT_ID, placement })
    expect(form?.action).toContain(`${app.url}settings?DOMAIN=`)
    expect((await call('imconnector.unregister', { ID: 'pigeons' })).body.result).toEqual({ result: true })
    await expect(sandbox.trigger(OPERATOR)).rejects.toThrow('no connector pigeons')
  })
})
