import { describe, expect, it } from 'vitest'
import type { SandboxOptions } from '../../src/sandbox/index.ts'
import { type Bench, openApplication, tokenOf } from './application.ts'
import { ask, send } from './ask.ts'
import { CLIENT_ID, callWith, refresh } from './oauth-client.ts'

const ROBOT = {
  CODE: 'ship',
  NAME: 'Ship',
  AUTH_USER_ID: 3,
  USE_SUBSCRIPTION: 'Y',
  PROPERTIES: { city: { Name: 'City', Type: 'string' }, boxes: { Name: 'Boxes', Default: 1 } },
  RETURN_PROPERTIES: { trackNumber: { Name: 'Number' } },
}

async function openWithRobot(more: object = {}, options: SandboxOptions = {}): Promise<Bench> {
  const bench = await openApplication(options)
  const added = await bench.call('bizproc.robot.add', { ...ROBOT, HANDLER: `${bench.app.url}robot`, ...more })
  expect(added.body.result).toBe(true)
  return bench
}

/** A workflow comes to the robot; gives the token that the handler got. */
async function run({ sandbox, app }: Bench, more: object = {}): Promise<string> {
  await sandbox.trigger({ do: 'robot', clientId: CLIENT_ID, code: 'ship', ...more })
  return app.received.at(-1)?.form.event_token
}

const workflow = ({ sandbox }: Bench) => sandbox.work().workflows.at(-1)

// https://apidocs.bitrix24.com/api-reference/bizproc/bizproc-robot/bizproc-robot-add.html
describe('a robot', () => {
  it('is called with the document, its properties and tokens of its user, and with no event', async () => {
    const bench = await openWithRobot()
    const { deliveries, workflowId } = await bench.sandbox.trigger({
      do: 'robot',
      clientId: CLIENT_ID,
      code: 'ship',
      properties: { city: 'Bonn & Köln' },
      timeoutSeconds: 60,
    })
    expect(deliveries).toEqual([{ event: 'robot', url: `${bench.app.url}robot`, status: 200 }])
    const { form, contentType, text } = bench.app.received[0]!
    expect(contentType).toBe('application/x-www-form-urlencoded')
    expect(text).toContain('document_id%5B2%5D=DEAL_7&')
    const { memberId, domain } = bench.sandbox.identity()
    expect(form).toEqual({
      workflow_id: workflowId,
      code: 'ship',
      document_id: ['crm', 'CCrmDocumentDeal', 'DEAL_7'],
      document_type: ['crm', 'CCrmDocumentDeal', 'DEAL'],
      event_token: expect.stringMatching(/^[\w.]+\|A[\d_]+\|[0-9a-f]{32}\.[0-9a-f]{64}$/),
      properties: { city: 'Bonn & Köln', boxes: '1' },
      use_subscription: 'Y',
      timeout_duration: '60',
      ts: '1780315200',
      auth: expect.objectContaining({ domain, member_id: memberId, user_id: '3' }),
    })
    expect((await callWith(bench.sandbox, form.auth.access_token)).body.result.ID).toBe('3')
    expect((await refresh(bench.sandbox, form.auth.refresh_token)).status).toBe(200)
  })

  it('makes the workflow wait until bizproc.event.send brings what was registered', async () => {
    const bench = await openWithRobot()
    const token = await run(bench)
    expect(workflow(bench)).toMatchObject({ state: 'waiting', returnValues: {}, log: [] })
    await bench.call('bizproc.activity.log', { EVENT_TOKEN: token, LOG_MESSAGE: 'packed' })
    const answer = { EVENT_TOKEN: token, LOG_MESSAGE: 'gone', RETURN_VALUES: { TRACKNUMBER: '1Z', other: 2 } }
    // Any credential may answer, a webhook too.
    expect((await ask(bench.sandbox, 'bizproc.event.send', answer)).body.result).toBe(true)
    expect(workflow(bench)).toMatchObject({
      state: 'answered',
      returnValues: { trackNumber: '1Z' },
      log: ['packed', 'gone'],
    })
  })

  it('that answers twice is told true, and nothing changes', async () => {
    const bench = await openWithRobot()
    const token = await run(bench)
    await bench.call('bizproc.event.send', { event_token: token, return_values: { trackNumber: 'a' } })
    const again = await bench.call('bizproc.event.send', {
      event_token: token,
      return_values: { trackNumber: 'b' },
      log_message: 'again',
    })
    expect(again.body.result).toBe(true)
    expect(workflow(bench)).toMatchObject({ returnValues: { trackNumber: 'a' }, log: [] })
  })

  it('that answers with a forged token is refused', async () => {
    const bench = await openWithRobot()
    const token = await run(bench)
    const forged = [`${token}0`, token.replace('|A', '|B'), 'x', '']
    for (const EVENT_TOKEN of forged) {
      const { status, body } = await bench.call('bizproc.event.send', { EVENT_TOKEN, RETURN_VALUES: {} })
      expect([EVENT_TOKEN, status, body.error]).toEqual([EVENT_TOKEN, 403, 'ACCESS_DENIED'])
    }
    expect(workflow(bench)?.state).toBe('waiting')
    const log = await bench.call('bizproc.activity.log', { EVENT_TOKEN: 'x', LOG_MESSAGE: 'x' })
    expect([log.status, log.body.error]).toEqual([403, 'ACCESS_DENIED'])
    const empty = await bench.call('bizproc.activity.log', { EVENT_TOKEN: token })
    expect(empty.body.error).toBe('ERROR_EMPTY_LOG_MESSAGE')
  })

  it('is waited for no longer than the timeout; an answer after it has no effect', async () => {
    const bench = await openWithRobot()
    const token = await run(bench, { timeoutSeconds: 60 })
    bench.sandbox.advance(59_999)
    expect(workflow(bench)?.state).toBe('waiting')
    bench.sandbox.advance(1)
    expect(workflow(bench)?.state).toBe('timed-out')
    const late = { EVENT_TOKEN: token, RETURN_VALUES: { trackNumber: 'x' } }
    expect((await bench.call('bizproc.event.send', late)).body.result).toBe(true)
    expect(workflow(bench)).toMatchObject({ state: 'timed-out', returnValues: {} })
  })

  it.each([
    ['N', { subscribe: true }, 'N', 'passed'],
    ['', {}, 'N', 'passed'],
    ['', { subscribe: true }, 'Y', 'waiting'],
  ])(
    'registered with USE_SUBSCRIPTION "%s" and run with %j says %s',
    async (registered, more, said, state) => {
      const bench = await openWithRobot({ USE_SUBSCRIPTION: registered })
      await run(bench, more)
      expect(bench.app.received[0]?.form.use_subscription).toBe(said)
      expect(workflow(bench)?.state).toBe(state)
    },
  )

  it('is not called for an application that is not paid for', async () => {
    const bench = await openWithRobot()
    await bench.sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: false })
    await run(bench)
    expect(bench.app.received).toHaveLength(0)
    expect(workflow(bench)?.state).toBe('passed')
  })
})

describe('robots and activities', () => {
  it.each([
    [{ CODE: '' }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Empty activity code!'],
    [{ CODE: 'a b' }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Wrong activity code!'],
    [{ HANDLER: 'ftp://a.b/' }, 'ERROR_UNSUPPORTED_PROTOCOL', 'Unsupported handler protocol'],
    [{ HANDLER: 'http://localhost/' }, 'ERROR_WRONG_HANDLER_URL', 'Wrong handler URL'],
    [{ NAME: '' }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Empty activity NAME!'],
    [
      { PROPERTIES: { '1a': { NAME: 'x' } } },
      'ERROR_ACTIVITY_VALIDATION_FAILURE',
      'Wrong property key (1a)!',
    ],
    [{ PROPERTIES: { a: {} } }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Empty property NAME (a)!'],
    [{ RETURN_PROPERTIES: 'x' }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Wrong properties array!'],
    [{ DOCUMENT_TYPE: ['crm'] }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Wrong activity DOCUMENT_TYPE!'],
    [{ FILTER: 'x' }, 'ERROR_ACTIVITY_VALIDATION_FAILURE', 'Wrong activity FILTER!'],
    [
      { USE_PLACEMENT: 'Y', PLACEMENT_HANDLER: 'x' },
      'ERROR_UNSUPPORTED_PROTOCOL',
      'Unsupported handler protocol',
    ],
  ])('cannot be registered with %j', async (wrong, error, error_description) => {
    const { call } = await openApplication()
    const reply = await call('bizproc.activity.add', { ...ROBOT, HANDLER: 'https://x.example/', ...wrong })
    expect([reply.status, reply.body]).toEqual([400, { error, error_description }])
  })

  it('are listed apart, share their codes, and are updated and deleted as what they are', async () => {
    const { call, sandbox, app } = await openWithRobot()
    const activity = { CODE: 'sign', NAME: { en: 'Sign' }, HANDLER: 'https://x.example/' }
    expect((await call('bizproc.activity.add', activity)).body.result).toBe(true)
    const twice = await call('bizproc.activity.add', { ...activity, CODE: 'ship' })
    expect([twice.status, twice.body.error]).toEqual([400, 'ERROR_ACTIVITY_ALREADY_INSTALLED'])
    expect((await call('bizproc.robot.list')).body.result).toEqual(['ship'])
    expect((await call('bizproc.activity.list')).body.result).toEqual(['sign'])
    const wrongKind = await call('bizproc.activity.delete', { CODE: 'ship' })
    expect(wrongKind.body.error).toBe('ERROR_ACTIVITY_NOT_FOUND')
    const none = await call('bizproc.robot.update', { CODE: 'ship', FIELDS: {} })
    expect(none.body.error_description).toBe('No fields to update')
    const fields = { HANDLER: `${app.url}moved`, USE_SUBSCRIPTION: 'N' }
    expect((await call('bizproc.robot.update', { CODE: 'ship', FIELDS: fields })).body.result).toBe(true)
    await sandbox.trigger({ do: 'robot', clientId: CLIENT_ID, code: 'ship' })
    expect(app.received[0]?.url.pathname).toBe('/moved')
    expect(app.received[0]?.form).toMatchObject({ use_subscription: 'N', auth: { user_id: '3' } })
    expect((await call('bizproc.robot.delete', { CODE: 'ship' })).body.result).toBe(true)
    expect((await call('bizproc.robot.list')).body.result).toEqual([])
  })

  it('are for administrators of applications with the scope', async () => {
    const bench = await openApplication()
    const robot = { ...ROBOT, HANDLER: 'https://x.example/' }
    const webhook = await ask(bench.sandbox, 'bizproc.robot.add', robot)
    expect([webhook.status, webhook.body]).toEqual([
      403,
      { error: 'ACCESS_DENIED', error_description: 'Access denied! Application context required' },
    ])
    const user = await callWith(bench.sandbox, await tokenOf(bench, 2), 'bizproc.robot.add', robot)
    expect([user.status, user.body.error]).toEqual([403, 'ACCESS_DENIED'])
    bench.sandbox.change({ scopes: { [CLIENT_ID]: ['crm'] } })
    expect((await bench.call('bizproc.robot.add', robot)).body.error).toBe('insufficient_scope')
  })

  it.each(['update', 'install'] as const)('vanish at an %s of their application', async (act) => {
    const bench = await openWithRobot()
    await bench.sandbox.app({ do: act, clientId: CLIENT_ID })
    await expect(run(bench)).rejects.toThrow(`${CLIENT_ID} has no robot ship`)
    expect(bench.sandbox.work().registered[CLIENT_ID]?.robots).toEqual([])
  })
})

describe('a workflow', () => {
  it('posts nothing but the document to an outgoing webhook, whose address stays as it is', async () => {
    const { sandbox, app } = await openApplication()
    await sandbox.trigger({ do: 'workflow-webhook', url: `${app.url}hook?key=a%20b`, document: 'LEAD_2' })
    expect(app.received[0]?.url.search).toBe('?key=a%20b')
    expect(app.received[0]?.form).toEqual({ document_id: ['crm', 'CCrmDocumentLead', 'LEAD_2'] })
  })

  it.each([
    [{ code: 'none' }, /has no robot none/],
    [{ document: 'DEAL_100000' }, /no document DEAL_100000/],
    [{ properties: { colour: 'red' } }, /has no property colour/],
    [{ clientId: 'app.none' }, /app\.none is not installed/],
    [{ do: 'dance' }, /no such trigger/],
  ])('cannot be started with %j', async (wrong, message) => {
    const { sandbox } = await openWithRobot()
    const trigger = { do: 'robot', clientId: CLIENT_ID, code: 'ship', ...wrong } as never
    await expect(sandbox.trigger(trigger)).rejects.toThrow(message)
  })

  it('can be started, and looked at, from another process', async () => {
    const { sandbox, app } = await openWithRobot()
    const body = JSON.stringify({ do: 'robot', clientId: CLIENT_ID, code: 'ship', document: 'CONTACT_5' })
    const reply = await send(`${sandbox.url}/__sandbox/triggers`, { body })
    expect(reply.body.deliveries).toHaveLength(1)
    const work = (await send(`${sandbox.url}/__sandbox/work`)).body
    expect(work.workflows).toMatchObject([
      { id: reply.body.workflowId, code: 'ship', documentId: ['crm', 'CCrmDocumentContact', 'CONTACT_5'] },
    ])
    expect(JSON.stringify(work)).not.toContain(app.received[0]?.form.event_token)
    const wrong = await send(`${sandbox.url}/__sandbox/triggers`, { body: '{"do":"robot"}' })
    expect([wrong.status, wrong.body.error]).toEqual([400, 'NOT_POSSIBLE'])
  })
})
