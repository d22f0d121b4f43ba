import { describe, expect, it } from 'vitest'
import { eventsOf, openApplication, openBound, tokenOf } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, CLIENT_SECRET, callWith } from './oauth-client.ts'

const HEX_32 = /^[0-9a-f]{32}$/
const TITLE = { fields: { TITLE: 'x' } }

// https://apidocs.bitrix24.com/api-reference/events/index.html
describe('an event', () => {
  it('is one request with the fields of a real portal', async () => {
    const { sandbox, app } = await openBound(['onCrmDealUpdate'])
    await ask(sandbox, 'crm.deal.update', { id: 7, ...TITLE })
    await expect.poll(() => app.received.length).toBe(1)
    const { memberId, domain, clientEndpoint, serverEndpoint } = sandbox.identity()
    expect(app.received[0]?.contentType).toBe('application/x-www-form-urlencoded')
    expect(app.received[0]?.text).toContain('data%5BFIELDS%5D%5BID%5D=7&ts=')
    expect(app.received[0]?.form).toEqual({
      event: 'ONCRMDEALUPDATE',
      event_handler_id: '1',
      data: { FIELDS: { ID: '7' } },
      ts: '1780315200',
      auth: {
        access_token: expect.stringMatching(/^[0-9a-f]{70}$/),
        expires: '1780318800',
        expires_in: '3600',
        scope: expect.stringContaining('crm,'),
        domain,
        server_endpoint: serverEndpoint,
        status: 'L',
        client_endpoint: clientEndpoint,
        member_id: memberId,
        user_id: '1',
        application_token: expect.stringMatching(HEX_32),
      },
    })
    const token = app.received[0]?.form.auth.access_token
    expect((await callWith(sandbox, token)).body.result.ID).toBe('1')
  })

  it.each([
    ['crm.lead.add', TITLE, 'ONCRMLEADADD', { FIELDS: { ID: '61' } }],
    ['crm.contact.update', { id: 3, fields: {} }, 'ONCRMCONTACTUPDATE', { FIELDS: { ID: '3' } }],
    ['crm.company.delete', { id: 4 }, 'ONCRMCOMPANYDELETE', { FIELDS: { ID: '4' } }],
    ['crm.product.add', { fields: { NAME: 'x' } }, 'ONCRMPRODUCTADD', { FIELDS: { ID: '31' } }],
    ['crm.item.add', { entityTypeId: 2, fields: { title: 'x' } }, 'ONCRMDEALADD', { FIELDS: { ID: '121' } }],
    [
      'crm.item.update',
      { entityTypeId: 1, id: 2, fields: { title: 'x' } },
      'ONCRMLEADUPDATE',
      { FIELDS: { ID: '2' } },
    ],
    ['crm.item.delete', { entityTypeId: 3, id: 5 }, 'ONCRMCONTACTDELETE', { FIELDS: { ID: '5' } }],
    [
      'tasks.task.add',
      { fields: { TITLE: 'x', RESPONSIBLE_ID: 1 } },
      'ONTASKADD',
      {
        FIELDS_BEFORE: 'undefined',
        FIELDS_AFTER: { ID: '76' },
        IS_ACCESSIBLE_BEFORE: 'N',
        IS_ACCESSIBLE_AFTER: 'undefined',
      },
    ],
    [
      'tasks.task.update',
      { taskId: 9, fields: { TITLE: 'x' } },
      'ONTASKUPDATE',
      {
        FIELDS_BEFORE: { ID: '9' },
        FIELDS_AFTER: { ID: '9' },
        IS_ACCESSIBLE_BEFORE: 'undefined',
        IS_ACCESSIBLE_AFTER: 'undefined',
      },
    ],
    [
      'tasks.task.delete',
      { taskId: 9 },
      'ONTASKDELETE',
      {
        FIELDS_BEFORE: { ID: '9' },
        FIELDS_AFTER: 'undefined',
        IS_ACCESSIBLE_BEFORE: 'undefined',
        IS_ACCESSIBLE_AFTER: 'N',
      },
    ],
    [
      'task.commentitem.add',
      { 0: 9, 1: { POST_MESSAGE: 'x' } },
      'ONTASKCOMMENTADD',
      {
        FIELDS_BEFORE: 'undefined',
        FIELDS_AFTER: { ID: '1', TASK_ID: '9' },
        IS_ACCESSIBLE_BEFORE: 'undefined',
        IS_ACCESSIBLE_AFTER: 'undefined',
      },
    ],
  ])('of %s is told as %3$s', async (method, params, event, data) => {
    const bench = await openBound([event])
    const { body } = await ask(bench.sandbox, method, params)
    expect(body.error).toBe(undefined)
    await expect
      .poll(() => bench.app.received.map(({ form }) => [form.event, form.data]))
      .toEqual([[event, data]])
  })

  it('of a new user tells the fields, departments as a list', async () => {
    const { sandbox, app } = await openBound(['ONUSERADD'])
    await ask(sandbox, 'user.add', { EMAIL: 'new@example.com', NAME: 'Ivy', UF_DEPARTMENT: [1, 3] })
    await expect.poll(() => app.received.length).toBe(1)
    expect(app.received[0]?.form.data).toMatchObject({
      ID: '13',
      ACTIVE: '1',
      NAME: 'Ivy',
      UF_DEPARTMENT: ['1', '3'],
    })
  })

  it('is not told for a change that was refused', async () => {
    const bench = await openBound(['ONCRMDEALUPDATE'])
    expect((await ask(bench.sandbox, 'crm.deal.update', { id: 1_000_000, ...TITLE })).status).toBe(400)
    await ask(bench.sandbox, 'crm.deal.update', { id: 1, ...TITLE })
    await expect.poll(() => bench.app.received.map(({ form }) => form.data.FIELDS.ID)).toEqual(['1'])
  })

  it('is told although the answer of the change was lost', async () => {
    const bench = await openBound(['ONCRMDEALADD'])
    bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'crm.deal.add' } }])
    await expect(ask(bench.sandbox, 'crm.deal.add', TITLE)).rejects.toThrow()
    await expect.poll(() => eventsOf(bench)).toEqual(['ONCRMDEALADD'])
  })
})

describe('a request to the portal', () => {
  it('that makes equal changes is told once, and two requests twice', async () => {
    const bench = await openBound(['ONCRMDEALUPDATE'])
    const change = `crm.deal.update?${new URLSearchParams({ id: '7', 'fields[TITLE]': 'x' })}`
    await ask(bench.sandbox, 'batch', { cmd: [change, change, change.replace('id=7', 'id=8')] })
    await expect.poll(() => bench.app.received.map(({ form }) => form.data.FIELDS.ID)).toEqual(['7', '8'])
    for (let i = 0; i < 2; i++) await ask(bench.sandbox, 'crm.deal.update', { id: 9, ...TITLE })
    await expect.poll(() => bench.app.received.length).toBe(4)
  })
})

// https://apidocs.bitrix24.com/api-reference/events/event-bind.html
describe('the auth of an event', () => {
  it('is of the user who caused it', async () => {
    const bench = await openBound(['ONCRMDEALUPDATE'])
    await callWith(bench.sandbox, await tokenOf(bench, 4), 'crm.deal.update', { id: 7, ...TITLE })
    await expect.poll(() => bench.app.received[0]?.form.auth.user_id).toBe('4')
  })

  it('is of the user that auth_type names, whoever caused it', async () => {
    const { sandbox, app, call } = await openApplication()
    const handler = `${app.url}handler`
    await call('event.bind', { event: 'ONCRMDEALUPDATE', handler, auth_type: 5 })
    await call('crm.deal.update', { id: 7, ...TITLE })
    await expect.poll(() => app.received[0]?.form.auth.user_id).toBe('5')
    const token = app.received[0]?.form.auth.access_token
    expect((await callWith(sandbox, token, 'user.current')).body.result.ID).toBe('5')
  })

  it('has no tokens when a robot did it', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALUPDATE'])
    await sandbox.changeData({ do: 'change', entity: 'deal', id: 7, userId: null })
    expect(Object.keys(app.received[0]?.form.auth).sort()).toEqual([
      'application_token',
      'client_endpoint',
      'domain',
      'member_id',
      'server_endpoint',
    ])
  })

  it('has no tokens in an event that never brings any', async () => {
    const { sandbox, app, call } = await openApplication()
    const handler = `${app.url}handler`
    await call('event.bind', { event: 'ONAPPMETHODCONFIRM', handler, auth_type: 1 })
    await sandbox.changeData({ do: 'raise', event: 'ONAPPMETHODCONFIRM', data: { METHOD: 'x' } })
    expect(app.received[0]?.form.auth).not.toHaveProperty('access_token')
  })

  it.each([
    ['some', 'ONCRMDEALUPDATE', false],
    ['some', 'ONCALENDARENTRYADD', true],
    ['always', 'ONCRMDEALUPDATE', true],
  ] as const)('with refresh tokens for %s: %s has one is %s', async (eventRefreshTokens, event, has) => {
    const scopes = ['crm', 'calendar']
    const application = { clientId: CLIENT_ID, clientSecret: CLIENT_SECRET, scopes }
    const { sandbox, app } = await openBound([event], {
      switches: { eventRefreshTokens },
      applications: [application],
    })
    await sandbox.changeData({ do: 'raise', event, data: { id: 1 } })
    expect('refresh_token' in app.received[0]!.form.auth).toBe(has)
  })
})

describe('events', () => {
  it('begin when the application is installed to its end', async () => {
    const bench = await openApplication()
    const { sandbox, app } = bench
    sandbox.addApplication({
      clientId: 'app.new',
      url: `${app.url}app`,
      installUrl: `${app.url}install`,
    })
    const { form } = await sandbox.app({ do: 'install', clientId: 'app.new' })
    const token = form?.fields.AUTH_ID ?? ''
    const handler = `${app.url}new`
    const bound = await callWith(sandbox, token, 'event.bind', { event: 'ONCRMDEALADD', handler })
    expect(bound.body.result).toBe(true)
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(app.received).toHaveLength(0)
    await sandbox.app({ do: 'finish', clientId: 'app.new' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect(app.received).toHaveLength(1)
  })

  it('end while the application is not paid for, and when it is uninstalled', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALADD'])
    const add = () => sandbox.changeData({ do: 'add', entity: 'deal' })
    await sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: false })
    await add()
    expect(app.received).toHaveLength(0)
    await sandbox.app({ do: 'pay', clientId: CLIENT_ID, paid: true })
    await add()
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
    await add()
    expect(app.received).toHaveLength(1)
  })

  it('go to every handler of every application', async () => {
    const { sandbox, app, call } = await openBound(['ONCRMDEALADD'])
    await call('event.bind', { event: 'ONCRMDEALADD', handler: `${app.url}second` })
    const own = { event: 'ONCRMDEALADD', handler: `${app.url}third` }
    await callWith(sandbox, sandbox.accessToken, 'event.bind', own)
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    const paths = app.received.map(({ url }) => url.pathname).sort()
    expect(paths).toEqual(['/handler', '/second', '/third'])
    expect(new Set(app.received.map(({ form }) => form.auth.application_token)).size).toBe(2)
  })

  it('end after seven rounds when each is answered with a change under its own token', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALUPDATE'])
    await sandbox.changeData({ do: 'change', entity: 'deal', id: 7 })
    for (let round = 1; round <= 7; round++) {
      await expect.poll(() => app.received.length).toBe(round)
      const token = app.received[round - 1]?.form.auth.access_token
      expect((await callWith(sandbox, token, 'crm.deal.update', { id: 7, ...TITLE })).status).toBe(200)
    }
    const { deliveries } = await sandbox.changeData({ do: 'change', entity: 'deal', id: 8 })
    expect(deliveries?.delivered).toBe(1)
    expect(app.received.map(({ form }) => form.data.FIELDS.ID)).toEqual([...Array(7).fill('7'), '8'])
  })
})

// https://apidocs.bitrix24.com/api-reference/events/test-handler.html
describe('event.test', () => {
  it('sends its parameters to the own handler of ONAPPTEST', async () => {
    const { sandbox, app, call } = await openBound(['ONAPPTEST'])
    const own = { event: 'ONAPPTEST', handler: `${app.url}other` }
    await callWith(sandbox, sandbox.accessToken, 'event.bind', own)
    expect((await call('event.test', { a: 1, b: { c: [2] } })).body.result).toBe(1)
    await expect.poll(() => app.received.length).toBe(1)
    expect(app.received[0]?.url.pathname).toBe('/handler')
    expect(app.received[0]?.form).toMatchObject({
      event: 'ONAPPTEST',
      data: { QUERY: { a: '1', b: { c: ['2'] } }, LANGUAGE_ID: 'en' },
      auth: { refresh_token: expect.any(String) },
    })
  })
})
