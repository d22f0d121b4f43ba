import { describe, expect, it } from 'vitest'
import type { SandboxOptions } from '../../src/sandbox/index.ts'
import { type Bench, openApplication, tokenOf } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith } from './oauth-client.ts'

const SENDER = { CODE: 'pigeon', TYPE: 'SMS', NAME: 'Pigeon post' }
const TEXT = { do: 'sms', clientId: CLIENT_ID, code: 'pigeon', to: '+491512345', text: 'Grüße' } as const

async function openWithSender(options: SandboxOptions = {}): Promise<Bench> {
  const bench = await openApplication(options)
  const added = await bench.call('messageservice.sender.add', {
    ...SENDER,
    HANDLER: `${bench.app.url}sms?key=1`,
  })
  expect(added.body.result).toBe(true)
  return bench
}

const statusOf = ({ sandbox }: Bench) => sandbox.work().textMessages.at(-1)?.status

// https://apidocs.bitrix24.com/api-reference/messageservice/messageservice-sender-add.html
describe('a text message', () => {
  it('is handed to its provider with tokens of the author that cannot be renewed, and with no event', async () => {
    const bench = await openWithSender()
    const { messageId } = await bench.sandbox.trigger({ ...TEXT, authorId: 2, document: 'DEAL_7' })
    const { form, url } = bench.app.received[0]!
    expect(url.search).toBe('?key=1')
    expect(form).toEqual({
      module_id: 'crm',
      bindings: [{ OWNER_TYPE_ID: '2', OWNER_ID: '7' }],
      properties: { phone_number: '+491512345', message_text: 'Grüße' },
      type: 'SMS',
      code: 'pigeon',
      message_id: messageId,
      message_to: '+491512345',
      message_body: 'Grüße',
      ts: '1780315200',
      auth: expect.objectContaining({ user_id: '2', member_id: bench.sandbox.identity().memberId }),
    })
    expect(messageId).toMatch(/^[0-9a-f]{32}$/)
    expect(form.auth).not.toHaveProperty('refresh_token')
    expect((await callWith(bench.sandbox, form.auth.access_token)).body.result.ID).toBe('2')
  })

  it('of a workflow names the workflow instead of bindings', async () => {
    const bench = await openWithSender()
    await bench.sandbox.trigger({ ...TEXT, byWorkflow: true })
    const { form } = bench.app.received[0]!
    expect(form).toMatchObject({
      module_id: 'bizproc',
      workflow_id: expect.stringMatching(/^[0-9a-f]{14}\.\d{8}$/),
      document_id: ['crm', 'CCrmDocumentDeal', 'DEAL_7'],
      document_type: ['crm', 'CCrmDocumentDeal', 'DEAL'],
    })
    expect(form).not.toHaveProperty('bindings')
  })

  it('without an author proves nothing, or by a switch the application', async () => {
    const bare = await openWithSender()
    await bare.sandbox.trigger({ ...TEXT, authorId: 0 })
    expect(bare.app.received[0]?.form).not.toHaveProperty('auth')
    const other = await openWithSender({ switches: { messagesWithoutAuthor: 'application-token' } })
    await other.sandbox.trigger({ ...TEXT, authorId: 0 })
    expect(Object.keys(other.app.received[0]?.form.auth).sort()).toEqual([
      'application_token',
      'client_endpoint',
      'domain',
      'member_id',
      'server_endpoint',
    ])
  })

  it('counts as sent whatever the provider answers', async () => {
    const bench = await openWithSender()
    bench.app.status = 500
    const { deliveries } = await bench.sandbox.trigger(TEXT)
    expect(deliveries).toMatchObject([{ event: 'sms', status: 500 }])
    expect(statusOf(bench)).toBe('sent')
    expect(bench.sandbox.stats().events.sms).toEqual({ delivered: 0, refused: 1, lost: 0 })
  })
})

// https://apidocs.bitrix24.com/api-reference/messageservice/messageservice-message-status-update.html
describe('the status of a text message', () => {
  it('is what the provider reports', async () => {
    const bench = await openWithSender()
    const { messageId } = await bench.sandbox.trigger(TEXT)
    const update = (STATUS: string) =>
      bench.call('messageservice.message.status.update', { CODE: 'pigeon', MESSAGE_ID: messageId, STATUS })
    for (const status of ['queued', 'sent', 'delivered', 'undelivered', 'failed']) {
      expect((await update(status)).body.result).toBe(true)
      expect(statusOf(bench)).toBe(status)
    }
    for (const wrong of ['Delivered', 'read', 'error', '']) {
      const { status, body } = await update(wrong)
      expect([wrong, status, body.error]).toEqual([wrong, 400, 'ERROR_MESSAGE_STATUS_INCORRECT'])
    }
    expect(statusOf(bench)).toBe('failed')
  })

  it.each([
    [{ MESSAGE_ID: '0'.repeat(32) }, 'ERROR_MESSAGE_NOT_FOUND'],
    [{ MESSAGE_ID: '' }, 'ERROR_MESSAGE_NOT_FOUND'],
    [{ CODE: 'other' }, 'ERROR_MESSAGE_NOT_FOUND'],
    [{ CODE: '' }, 'ERROR_SENDER_VALIDATION_FAILURE'],
  ])('cannot be reported with %j', async (wrong, error) => {
    const bench = await openWithSender()
    const { messageId } = await bench.sandbox.trigger(TEXT)
    const params = { CODE: 'pigeon', MESSAGE_ID: messageId, STATUS: 'delivered', ...wrong }
    const { status, body } = await bench.call('messageservice.message.status.update', params)
    expect([status, body.error]).toEqual([400, error])
  })

  it('is reported by the author or the administrator, through the application', async () => {
    const bench = await openWithSender()
    const { messageId } = await bench.sandbox.trigger({ ...TEXT, authorId: 2 })
    const params = { CODE: 'pigeon', MESSAGE_ID: messageId, STATUS: 'delivered' }
    const method = 'messageservice.message.status.update'
    const [author, other] = [await tokenOf(bench, 2), await tokenOf(bench, 3)]
    expect((await callWith(bench.sandbox, other, method, params)).body.error).toBe('ACCESS_DENIED')
    expect((await ask(bench.sandbox, method, params)).body.error_description).toBe(
      'Access denied! Application context required',
    )
    expect(statusOf(bench)).toBe('sent')
    expect((await callWith(bench.sandbox, author, method, params)).body.result).toBe(true)
    expect(statusOf(bench)).toBe('delivered')
  })

  it('is told by the number of the portal, not by the id of the provider', async () => {
    const bench = await openWithSender()
    const { messageId } = await bench.sandbox.trigger(TEXT)
    const get = (MESSAGE_ID: unknown) =>
      ask(bench.sandbox, 'messageservice.message.status.get', { MESSAGE_ID })
    expect((await get(1)).body.result).toBe('Sent')
    expect((await get(messageId)).body.error).toBe('ERROR_MESSAGE_NOT_FOUND')
  })
})

describe('a message sender', () => {
  it.each([
    [{ CODE: '' }, 'ERROR_SENDER_VALIDATION_FAILURE', 'Empty sender code!'],
    [{ CODE: 'ä' }, 'ERROR_SENDER_VALIDATION_FAILURE', 'Wrong sender code!'],
    [{ NAME: '' }, 'ERROR_SENDER_VALIDATION_FAILURE', 'Empty sender NAME!'],
    [{ TYPE: '' }, 'ERROR_SENDER_VALIDATION_FAILURE', 'Empty sender message TYPE!'],
    [{ TYPE: 'sms' }, 'ERROR_SENDER_VALIDATION_FAILURE', 'Unknown sender message TYPE!'],
    [{ HANDLER: 'http://nodot/' }, 'ERROR_WRONG_HANDLER_URL', 'Wrong handler URL'],
  ])('cannot be added with %j', async (wrong, error, error_description) => {
    const { call } = await openApplication()
    const params = { ...SENDER, HANDLER: 'https://x.example/', ...wrong }
    expect((await call('messageservice.sender.add', params)).body).toEqual({ error, error_description })
  })

  it('is added once, listed, updated and deleted', async () => {
    const { call, sandbox, app } = await openWithSender()
    const twice = await call('messageservice.sender.add', { ...SENDER, HANDLER: 'https://x.example/' })
    expect(twice.body.error).toBe('ERROR_SENDER_ALREADY_INSTALLED')
    expect((await call('messageservice.sender.list')).body.result).toEqual(['pigeon'])
    const update = (params: object) => call('messageservice.sender.update', params)
    expect((await update({})).body.error).toBe('ERROR_SENDER_CODE_REQUIRED')
    expect((await update({ CODE: 'pigeon' })).body.error).toBe('ERROR_SENDER_OTHER_PARAMS_REQUIRED')
    expect((await update({ CODE: 'owl', NAME: 'x' })).body.error).toBe('ERROR_SENDER_NOT_FOUND')
    expect((await update({ CODE: 'pigeon', HANDLER: `${app.url}moved` })).body.result).toBe(true)
    await sandbox.trigger(TEXT)
    expect(app.received[0]?.url.pathname).toBe('/moved')
    expect((await call('messageservice.sender.delete', { CODE: 'pigeon' })).body.result).toBe(true)
    expect((await call('messageservice.sender.delete', { CODE: 'pigeon' })).body.error).toBe(
      'ERROR_SENDER_NOT_FOUND',
    )
  })

  it('vanishes when its application is updated, and the messages stay', async () => {
    const bench = await openWithSender()
    await bench.sandbox.trigger(TEXT)
    await bench.sandbox.app({ do: 'update', clientId: CLIENT_ID })
    expect((await bench.call('messageservice.sender.list')).body.result).toEqual([])
    await expect(bench.sandbox.trigger(TEXT)).rejects.toThrow('has no message sender pigeon')
    expect(statusOf(bench)).toBe('sent')
  })
})
