import { describe, expect, it } from 'vitest'
import { ask, open } from './ask.ts'

// https://apidocs.bitrix24.com/api-reference/crm/deals/index.html
describe('classic CRM methods', () => {
  it.each(['lead', 'deal', 'contact', 'company', 'product'])(
    'add, change, show and delete a %s',
    async (kind) => {
      const sandbox = await open()
      const call = async (act: string, params: unknown) =>
        (await ask(sandbox, `crm.${kind}.${act}`, params)).body
      const id = (await call('add', { fields: { TITLE: 'a', NAME: 'n', NOPE: 1, ID: 7 } })).result
      expect(id).toEqual(expect.any(Number))
      expect((await call('update', { id, fields: { TITLE: 'b', NAME: 'm' } })).result).toBe(true)
      const row = (await call('get', { ID: id })).result
      expect(row.ID).toBe(String(id))
      expect([row.TITLE, row.NAME]).toContain(kind === 'contact' || kind === 'product' ? 'm' : 'b')
      expect(row).not.toHaveProperty('NOPE')
      expect(Object.keys((await call('fields', {})).result)).toContain('ID')
      expect((await call('delete', { id })).result).toBe(true)
      for (const act of ['get', 'update', 'delete']) {
        expect(await call(act, { id, fields: {} })).toEqual({ error: '', error_description: 'Not found' })
      }
    },
  )

  it('keep values as text', async () => {
    const sandbox = await open()
    const fields = {
      TITLE: 5,
      OPPORTUNITY: 10.5,
      CLOSED: true,
      COMPANY_ID: null,
      CONTACT_ID: 3,
      UF_CRM_1: ['a', 'b'],
    }
    const id = (await ask(sandbox, 'crm.deal.add', { fields })).body.result
    const { result } = (await ask(sandbox, 'crm.deal.get', { id })).body
    expect(result).toMatchObject({
      TITLE: '5',
      OPPORTUNITY: '10.50',
      CLOSED: 'Y',
      COMPANY_ID: null,
      CONTACT_ID: '3',
    })
    expect(result.UF_CRM_1).toEqual(['a', 'b'])
  })

  it('change, add and delete phones one by one', async () => {
    const sandbox = await open()
    const phones = async () => (await ask(sandbox, 'crm.contact.get', { id: 1 })).body.result.PHONE
    const [first] = await phones()
    await ask(sandbox, 'crm.contact.update', {
      id: 1,
      fields: { PHONE: [{ VALUE: '2', VALUE_TYPE: 'HOME' }] },
    })
    expect((await phones()).length).toBe(2)
    await ask(sandbox, 'crm.contact.update', { id: 1, fields: { PHONE: [{ ID: first.ID, VALUE: '' }] } })
    expect(await phones()).toMatchObject([{ VALUE: '2', VALUE_TYPE: 'HOME', TYPE_ID: 'PHONE' }])
  })

  it('want fields to be a map', async () => {
    const sandbox = await open()
    const { status, body } = await ask(sandbox, 'crm.deal.add', { fields: 'x' })
    expect([status, body]).toEqual([
      400,
      { error: '', error_description: "Parameter 'fields' must be array." },
    ])
  })
})

// https://apidocs.bitrix24.com/api-reference/crm/universal/index.html
describe('crm.item', () => {
  it.each([
    [1, 'lead'],
    [2, 'deal'],
    [3, 'contact'],
    [4, 'company'],
  ])('with type %i shares its data with crm.%s', async (entityTypeId, kind) => {
    const sandbox = await open()
    const fields = { title: 't', name: 'n', originId: 'o', ufCrm_12: 'n', ufCrmKey: 'u' }
    const { item } = (await ask(sandbox, 'crm.item.add', { entityTypeId, fields })).body.result
    expect(item).toMatchObject({
      id: expect.any(Number),
      originId: 'o',
      ufCrm_12: 'n',
      ufCrmKey: 'u',
      entityTypeId,
    })
    const classic = (await ask(sandbox, `crm.${kind}.get`, { id: item.id })).body.result
    expect(classic).toMatchObject({ ID: String(item.id), ORIGIN_ID: 'o', UF_CRM_12: 'n', UF_CRM_KEY: 'u' })
    const changed = await ask(sandbox, 'crm.item.update', {
      entityTypeId,
      id: item.id,
      fields: { originId: 'p' },
    })
    expect(changed.body.result.item.originId).toBe('p')
    expect(
      (await ask(sandbox, 'crm.item.get', { entityTypeId, id: item.id })).body.result.item.originId,
    ).toBe('p')
    expect((await ask(sandbox, 'crm.item.delete', { entityTypeId, id: item.id })).body.result).toEqual([])
    const { status, body } = await ask(sandbox, 'crm.item.get', { entityTypeId, id: item.id })
    expect([status, body.error]).toEqual([400, 'NOT_FOUND'])
  })
})

// https://apidocs.bitrix24.com/api-reference/tasks/index.html
describe('tasks', () => {
  it('are added, changed, shown and deleted inside their wrapper', async () => {
    const sandbox = await open()
    const added = await ask(sandbox, 'tasks.task.add', {
      fields: { TITLE: 't', RESPONSIBLE_ID: 1, XML_ID: 'x' },
    })
    const { id } = added.body.result.task
    expect(id).toEqual(expect.any(String))
    const updated = await ask(sandbox, 'tasks.task.update', { taskId: id, fields: { TITLE: 'u' } })
    expect(updated.body.result.task.title).toBe('u')
    const { task } = (await ask(sandbox, 'tasks.task.get', { taskId: id, select: ['ID'] })).body.result
    expect(task).toMatchObject({ id, title: 'u', xmlId: 'x', responsible: { id: '1' }, group: [] })
    expect((await ask(sandbox, 'tasks.task.delete', { taskId: id })).body.result).toEqual({ task: true })
    const gone = await ask(sandbox, 'tasks.task.get', { taskId: id })
    expect([gone.status, gone.body.result]).toEqual([200, []])
  })

  it.each([
    ['tasks.task.add', {}, '100'],
    ['tasks.task.add', { fields: { DESCRIPTION: 'd' } }, 'ERROR_CORE'],
    ['tasks.task.get', {}, '100'],
    ['tasks.task.update', { taskId: 9999, fields: { TITLE: 'x' } }, '0'],
    ['tasks.task.delete', { taskId: 9999 }, '1048582'],
  ])('%s refuses %j with %s', async (method, params, error) => {
    const sandbox = await open()
    const { status, body } = await ask(sandbox, method, params)
    expect([status, body.error]).toEqual([400, error])
  })
})

// https://apidocs.bitrix24.com/api-reference/lists/elements/index.html
describe('lists', () => {
  const list = { IBLOCK_TYPE_ID: 'lists', IBLOCK_ID: 5 }

  it('refuse an element code for the second time', async () => {
    const sandbox = await open()
    const element = { ...list, ELEMENT_CODE: 'c', FIELDS: { NAME: 'n', PROPERTY_1: 'p' } }
    expect((await ask(sandbox, 'lists.element.add', element)).body.result).toBe(1)
    const again = await ask(sandbox, 'lists.element.add', element)
    expect([again.status, again.body.error]).toEqual([400, 'ERROR_ELEMENT_ALREADY_EXISTS'])
    expect((await ask(sandbox, 'lists.element.add', { ...element, IBLOCK_ID: 6 })).body.result).toBe(2)
    const { result, total } = (await ask(sandbox, 'lists.element.get', { ...list, FILTER: { '%NAME': 'N' } }))
      .body
    expect(result).toMatchObject([{ ID: '1', CODE: 'c', NAME: 'n', PROPERTY_1: 'p' }])
    expect(total).toBe(1)
  })

  it('clear what an update does not name, and forget what is deleted', async () => {
    const sandbox = await open()
    const element = { ...list, ELEMENT_CODE: 'c', FIELDS: { NAME: 'n', PROPERTY_1: 'p' } }
    await ask(sandbox, 'lists.element.add', element)
    const change = { ...list, ELEMENT_ID: 1, FIELDS: { NAME: 'm' } }
    expect((await ask(sandbox, 'lists.element.update', change)).body.result).toBe(true)
    const shown = await ask(sandbox, 'lists.element.get', { ...list, ELEMENT_CODE: 'c' })
    expect(shown.body.result).toMatchObject([{ NAME: 'm', PROPERTY_1: null }])
    expect((await ask(sandbox, 'lists.element.delete', { ...list, ELEMENT_CODE: 'c' })).body.result).toBe(
      true,
    )
    expect((await ask(sandbox, 'lists.element.delete', { ...list, ELEMENT_ID: 1 })).status).toBe(400)
  })

  it.each([
    [{}, 'ERROR_REQUIRED_PARAMETERS_MISSING'],
    [{ ...list, IBLOCK_ID: 500 }, 'ERROR_IBLOCK_NOT_FOUND'],
  ])('refuse %j with %s', async (params, error) => {
    const sandbox = await open()
    expect((await ask(sandbox, 'lists.element.get', params)).body.error).toBe(error)
  })
})

// https://apidocs.bitrix24.com/api-reference/common/system/index.html
describe('what a caller may do', () => {
  it('is told by method.get, scope and methods', async () => {
    const sandbox = await open()
    sandbox.change({ scopes: { s3cr3t: ['task'] } })
    const exists = async (name: string) => (await ask(sandbox, 'method.get', { name })).body.result
    expect(await exists('crm.deal.list')).toEqual({ isExisting: true, isAvailable: false })
    expect(await exists('tasks.task.list')).toEqual({ isExisting: true, isAvailable: true })
    expect(await exists('nope')).toEqual({ isExisting: false, isAvailable: false })
    expect((await ask(sandbox, 'scope')).body.result).toEqual(['task'])
    expect((await ask(sandbox, 'scope', { FULL: true })).body.result).toContain('crm')
    const methods = (await ask(sandbox, 'methods')).body.result
    expect([methods.includes('profile'), methods.includes('crm.deal.list')]).toEqual([true, false])
    expect((await ask(sandbox, 'methods', { scope: 'crm' })).body.result).toContain('crm.deal.list')
  })

  it('asks for a feature by its code', async () => {
    const sandbox = await open()
    expect((await ask(sandbox, 'feature.get', { CODE: 'rest_offline_extended' })).body.result).toEqual({
      value: 'Y',
    })
    const { status, body } = await ask(sandbox, 'feature.get')
    expect([status, body.error]).toEqual([400, 'CODE_EMPTY'])
  })

  it('shows who it is', async () => {
    const sandbox = await open()
    expect((await ask(sandbox, 'profile')).body.result).toMatchObject({ ID: '1', ADMIN: true })
    expect((await ask(sandbox, 'user.current')).body.result).toMatchObject({
      ID: '1',
      UF_DEPARTMENT: [1],
      ACTIVE: true,
    })
    expect((await ask(sandbox, 'user.admin')).body.result).toBe(true)
  })
})

// https://apidocs.bitrix24.com/api-reference/common/system/app-info.html
describe('an application', () => {
  it('learns about itself, and whether the plan is enterprise', async () => {
    const sandbox = await open({ plan: 'enterprise' })
    const { result } = (
      await ask(sandbox, 'app.info', { auth: sandbox.accessToken }, { base: `${sandbox.url}/rest/` })
    ).body
    expect(result).toMatchObject({ INSTALLED: true, STATUS: 'L', LICENSE_FAMILY: 'ent' })
    expect(Object.keys((await ask(sandbox, 'app.info')).body.result)).toEqual(['SCOPE', 'LICENSE'])
    const strict = await open({ switches: { webhookAppInfo: 'denied' } })
    expect((await ask(strict, 'app.info')).body.error).toBe('ACCESS_DENIED')
  })

  // https://apidocs.bitrix24.com/api-reference/events/event-bind.html
  it('subscribes to events, which a webhook cannot', async () => {
    const sandbox = await open()
    const denied = await ask(sandbox, 'event.bind', { event: 'ONCRMDEALADD', handler: 'https://x.example/' })
    expect([denied.status, denied.body.error]).toEqual([403, 'WRONG_AUTH_TYPE'])
    const call = async (method: string, params: object = {}) =>
      (await ask(sandbox, method, { ...params, auth: sandbox.accessToken }, { base: `${sandbox.url}/rest/` }))
        .body
    const handler = { event: 'onCrmDealAdd', handler: 'https://x.example/' }
    expect((await call('event.bind', handler)).result).toBe(true)
    expect((await call('event.bind', handler)).error).toBe('ERROR_CORE')
    expect((await call('event.bind', { ...handler, event: 'nope' })).error).toBe('ERROR_EVENT_NOT_FOUND')
    expect((await call('event.bind', { event: 'ONTASKADD' })).argument).toBe('HANDLER')
    expect((await call('event.get')).result).toMatchObject([{ event: 'ONCRMDEALADD', offline: 0 }])
    expect((await call('event.unbind', handler)).result).toEqual({ count: 1 })
    expect((await call('events')).result).toContain('ONCRMDEALUPDATE')
  })
})

// https://apidocs.bitrix24.com/api-reference/user/user-scope.html
describe('an error returned as a result', () => {
  it('comes with status 200, and inside a batch as an error', async () => {
    const sandbox = await open()
    sandbox.change({ scopes: { s3cr3t: ['user_brief'] } })
    const { status, body } = await ask(sandbox, 'user.update', { ID: 1, NAME: 'x' })
    expect([status, Object.keys(body)]).toEqual([200, ['error', 'error_description']])
    const batch = await ask(sandbox, 'batch', { cmd: { a: 'user.update?ID=1&NAME=x' } })
    expect(batch.body.result.result_error.a.error).toBe('insufficient_scope')
  })

  it('does not come with the full scope', async () => {
    const sandbox = await open()
    expect((await ask(sandbox, 'user.update', { ID: 1, NAME: 'x' })).body.result).toBe(true)
    expect((await ask(sandbox, 'user.update', { ID: 100, NAME: 'x' })).status).toBe(400)
    expect((await ask(sandbox, 'user.add', { EMAIL: 'a@b.c' })).body.result).toBe(13)
    expect((await ask(sandbox, 'user.add', {})).status).toBe(400)
  })
})

// https://apidocs.bitrix24.com/api-reference/data-types.html
describe('answers told to differ', () => {
  it('have whole seconds, no processing time and no words', async () => {
    const sandbox = await open({
      now: () => 1_780_315_200_750,
      switches: { integerStart: true, zeroProcessing: true, emptyDescriptions: true, operating: false },
    })
    const { time } = (await ask(sandbox, 'server.time')).body
    expect([time.start, time.processing, 'operating' in time]).toEqual([1780315200, 0, false])
    expect((await ask(sandbox, 'no.such')).body).toEqual({
      error: 'ERROR_METHOD_NOT_FOUND',
      error_description: '',
    })
    const { body } = await ask(sandbox, 'batch', { cmd: { a: 'no.such' } })
    expect(body.result.result_error.a.error_description).toBe('')
  })
})
