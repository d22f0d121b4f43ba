import { describe, expect, it } from 'vitest'
import { openApplication, tokenOf } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith } from './oauth-client.ts'

const TAB = { PLACEMENT: 'CRM_DEAL_DETAIL_TAB', HANDLER: 'https://x.example/tab' }

// https://apidocs.bitrix24.com/api-reference/widgets/placement-bind.html
describe('placements', () => {
  it('are bound, listed and unbound, each of which counts twice', async () => {
    const { call } = await openApplication()
    expect((await call('placement.bind', { ...TAB, TITLE: 'Chairs' })).body.result).toBe(true)
    const words = { en: { TITLE: 'Tables', DESCRIPTION: 'x' }, de: { TITLE: 'Tische' } }
    const second = { placement: 'crm_deal_detail_tab', handler: 'https://x.example/2', lang_all: words }
    expect((await call('placement.bind', second)).body.result).toBe(true)
    expect((await call('placement.get')).body.result).toEqual([
      {
        id: expect.any(Number),
        placement: 'CRM_DEAL_DETAIL_TAB',
        userId: 0,
        handler: 'https://x.example/tab',
        options: {},
        title: 'Chairs',
        description: '',
        langAll: { en: { TITLE: 'Chairs' } },
      },
      expect.objectContaining({
        title: 'Tables',
        description: 'x',
        langAll: {
          en: { TITLE: 'Tables', DESCRIPTION: 'x', GROUP_NAME: '' },
          de: { TITLE: 'Tische', DESCRIPTION: '', GROUP_NAME: '' },
        },
      }),
    ])
    expect((await call('placement.unbind', TAB)).body.result).toEqual({ count: 2 })
    expect((await call('placement.unbind', TAB)).body.result).toEqual({ count: 0 })
    expect((await call('placement.unbind', { PLACEMENT: TAB.PLACEMENT })).body.result).toEqual({ count: 2 })
    expect((await call('placement.get')).body.result).toEqual([])
  })

  it.each([
    [{ PLACEMENT: '' }, 'ERROR_ARGUMENT', { argument: 'PLACEMENT' }],
    [{ PLACEMENT: 'DEFAULT' }, 'ERROR_ARGUMENT', { argument: 'PLACEMENT' }],
    [{ HANDLER: '' }, 'ERROR_ARGUMENT', { argument: 'HANDLER' }],
    [{ HANDLER: 'ftp://x.example/' }, 'ERROR_UNSUPPORTED_PROTOCOL', {}],
    [{ HANDLER: 'http://localhost/' }, 'ERROR_WRONG_HANDLER_URL', {}],
    [{ PLACEMENT: 'NOWHERE' }, 'ERROR_PLACEMENT_NOT_FOUND', { error_description: 'Placement not found' }],
    [{ PLACEMENT: 'SETTING_CONNECTOR' }, 'ERROR_PLACEMENT_NOT_FOUND', {}],
    [{ USER_ID: 2 }, 'ERROR_PLACEMENT_USER_MODE', { error_description: 'User mode is not available.' }],
  ])('cannot be bound with %j', async (wrong, error, more) => {
    const { call } = await openApplication()
    const { status, body } = await call('placement.bind', { ...TAB, ...wrong })
    expect(status).toBe(400)
    expect(body).toMatchObject({ error, ...more })
  })

  it('are bound once for one address', async () => {
    const { call } = await openApplication()
    await call('placement.bind', TAB)
    expect((await call('placement.bind', TAB)).body).toEqual({
      error: 'ERROR_CORE',
      error_description: 'Unable to set placement handler: Handler already binded',
    })
  })

  it('are as many as a place allows', async () => {
    const { call } = await openApplication()
    const link = { PLACEMENT: 'REST_APP_URI', HANDLER: 'https://x.example/link' }
    expect((await call('placement.bind', link)).body.result).toBe(true)
    const another = await call('placement.bind', { ...link, HANDLER: 'https://x.example/other' })
    expect(another.body).toEqual({
      error: 'ERROR_PLACEMENT_MAX_COUNT',
      error_description: 'Placement max count: 1',
    })
  })

  it('in the background need an address for errors, and may be for one user', async () => {
    const { call } = await openApplication()
    const worker = { PLACEMENT: 'PAGE_BACKGROUND_WORKER', HANDLER: 'https://x.example/worker', USER_ID: 2 }
    const without = await call('placement.bind', worker)
    expect([without.status, without.body.error]).toEqual([200, 'EMPTY_ERROR_HANDLER_URL'])
    const OPTIONS = { errorHandlerUrl: 'https://x.example/slow' }
    expect((await call('placement.bind', { ...worker, OPTIONS })).body.result).toBe(true)
    expect((await call('placement.get')).body.result).toMatchObject([{ userId: 2, options: OPTIONS }])
    const unbind = (USER_ID: number) => call('placement.unbind', { PLACEMENT: worker.PLACEMENT, USER_ID })
    expect((await unbind(3)).body.result).toEqual({ count: 0 })
    expect((await unbind(2)).body.result).toEqual({ count: 2 })
  })

  it('are a matter of rights and scopes', async () => {
    const bench = await openApplication()
    const webhook = await ask(bench.sandbox, 'placement.bind', TAB)
    expect([webhook.status, webhook.body]).toEqual([
      403,
      {
        error: 'WRONG_AUTH_TYPE',
        error_description:
          'Current authorization type is denied for this method Application context required',
      },
    ])
    const user = await tokenOf(bench, 2)
    expect((await callWith(bench.sandbox, user, 'placement.bind', TAB)).body.error).toBe('ACCESS_DENIED')
    bench.sandbox.change({ scopes: { [CLIENT_ID]: ['placement', 'im'] } })
    expect((await bench.call('placement.bind', TAB)).body.error).toBe('ERROR_PLACEMENT_NOT_FOUND')
    const list = async (params?: object) =>
      (await callWith(bench.sandbox, user, 'placement.list', params)).body.result
    expect(await list()).toContain('IM_SIDEBAR')
    expect(await list()).toContain('LEFT_MENU')
    expect(await list()).not.toContain('CRM_DEAL_DETAIL_TAB')
    expect(await list({ FULL: true })).toContain('CRM_DEAL_DETAIL_TAB')
    expect(await list({ SCOPE: 'calendar' })).toEqual(['CALENDAR_GRIDVIEW'])
  })

  it('of smart processes carry their number', async () => {
    const { call } = await openApplication()
    const place = { ...TAB, PLACEMENT: 'CRM_DYNAMIC_128_DETAIL_TAB' }
    expect((await call('placement.bind', place)).body.result).toBe(true)
  })

  it('stay when their application is updated and go when it is removed', async () => {
    const { call, sandbox } = await openApplication()
    await call('placement.bind', TAB)
    await sandbox.app({ do: 'update', clientId: CLIENT_ID })
    expect((await call('placement.get')).body.result).toHaveLength(1)
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
    expect(sandbox.work().registered[CLIENT_ID]).toBeUndefined()
  })
})

// https://apidocs.bitrix24.com/api-reference/widgets/user-field/userfieldtype-add.html
describe('types of user fields', () => {
  const COLOUR = { USER_TYPE_ID: 'colour', HANDLER: 'https://x.example/colour', TITLE: 'Colour' }

  it('are added, listed, updated and deleted', async () => {
    const { call } = await openApplication()
    expect((await call('userfieldtype.add', COLOUR)).body.result).toBe(true)
    const size = { USER_TYPE_ID: 'size', HANDLER: 'https://x.example/size' }
    expect((await call('userfieldtype.add', size)).body.result).toBe(true)
    const update = { USER_TYPE_ID: 'size', TITLE: 'Size', DESCRIPTION: 'cm' }
    expect((await call('userfieldtype.update', update)).body.result).toBe(true)
    const { result, total } = (await call('userfieldtype.list')).body
    expect([total, result]).toEqual([
      2,
      [
        { ...size, TITLE: 'Size', DESCRIPTION: 'cm' },
        { ...COLOUR, DESCRIPTION: '' },
      ],
    ])
    expect((await call('userfieldtype.delete', { USER_TYPE_ID: 'size' })).body.result).toBe(true)
    const again = await call('userfieldtype.delete', { USER_TYPE_ID: 'size' })
    expect([again.status, again.body.error]).toEqual([400, 'ERROR_NOT_FOUND'])
  })

  it.each([
    [{ USER_TYPE_ID: '' }, 'ERROR_ARGUMENT'],
    [{ USER_TYPE_ID: 'a b' }, 'ERROR_ARGUMENT'],
    [{ USER_TYPE_ID: 'x'.repeat(50) }, 'ERROR_ARGUMENT'],
    [{ HANDLER: '' }, 'ERROR_ARGUMENT'],
    [{ HANDLER: 'http://nodot/' }, 'ERROR_WRONG_HANDLER_URL'],
    [{ USER_TYPE_ID: 'other' }, 'ERROR_CORE'],
    [{ HANDLER: 'https://x.example/other' }, 'ERROR_CORE'],
  ])('cannot be added beside another with %j', async (wrong, error) => {
    const { call } = await openApplication()
    await call('userfieldtype.add', COLOUR)
    const { status, body } = await call('userfieldtype.add', { ...COLOUR, ...wrong })
    expect([status, body.error]).toEqual([400, error])
  })
})
