import { describe, expect, it } from 'vitest'
import { openApplication, tokenOf } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith } from './oauth-client.ts'

const HANDLER = 'https://x.example/'

// https://apidocs.bitrix24.com/api-reference/events/event-bind.html
describe('event.bind', () => {
  it('takes parameters in any case, and refuses the same handler twice', async () => {
    const { call } = await openApplication()
    expect((await call('event.bind', { EVENT: 'onTaskAdd', HANDLER })).body.result).toBe(true)
    const again = await call('event.bind', { event: 'ONTASKADD', handler: HANDLER })
    expect([again.status, again.body.error, again.body.error_description]).toEqual([
      400,
      'ERROR_CORE',
      'Unable to set event handler: Handler already binded',
    ])
    expect(
      (await call('event.bind', { event: 'ONTASKADD', handler: HANDLER, auth_type: 5 })).body.result,
    ).toBe(true)
    expect((await call('event.get')).body.result).toMatchObject([{ auth_type: '0' }, { auth_type: '5' }])
  })

  it('is for applications only', async () => {
    const { sandbox } = await openApplication()
    const { status, body } = await ask(sandbox, 'event.bind', { event: 'ONTASKADD', handler: HANDLER })
    expect([status, body.error]).toEqual([403, 'WRONG_AUTH_TYPE'])
  })

  it.each([
    [{ handler: HANDLER }, "Argument 'EVENT' is null or empty", 'EVENT'],
    [{ event: 'ONTASKADD' }, "Argument 'HANDLER' is null or empty", 'HANDLER'],
    [
      { event: 'ONTASKADD', handler: HANDLER, event_type: 'x' },
      'Value must be one of {online|offline}',
      'EVENT_TYPE',
    ],
  ])('says which argument is wrong: %j', async (params, text, argument) => {
    const { call } = await openApplication()
    expect((await call('event.bind', params)).body).toEqual({
      error: 'ERROR_ARGUMENT',
      error_description: text,
      argument,
    })
  })

  it('knows only events of the scopes that the application has', async () => {
    const { sandbox, call } = await openApplication()
    sandbox.change({ scopes: { [CLIENT_ID]: ['crm'] } })
    const bind = async (event: string) => {
      const { body } = await call('event.bind', { event, handler: HANDLER })
      return body.result ?? body.error
    }
    expect(await bind('ONTASKADD')).toBe('ERROR_EVENT_NOT_FOUND')
    expect(await bind('ONNONSENSE')).toBe('ERROR_EVENT_NOT_FOUND')
    expect(await bind('ONCRMDYNAMICITEMADD_128')).toBe(true)
    expect(await bind('ONAPPTEST')).toBe(true)
  })
})

// https://apidocs.bitrix24.com/api-reference/events/event-unbind.html
describe('event.unbind', () => {
  it('removes the rows of all users, of one, or of the caller', async () => {
    const bench = await openApplication()
    const { call, sandbox } = bench
    const user = await tokenOf(bench, 2)
    const task = { event: 'ONTASKADD', handler: HANDLER }
    const bindAll = async () => {
      for (const auth_type of [0, 1, 2]) await call('event.bind', { ...task, auth_type })
    }
    const count = async (token: string, params: object) => {
      const { body } = await callWith(sandbox, token, 'event.unbind', { ...task, ...params })
      return body.result?.count ?? body.error
    }
    await bindAll()
    expect(await count(bench.token, { handler: 'https://other.example/' })).toBe(0)
    expect(await count(bench.token, { auth_type: 0 })).toBe(1)
    expect(await count(user, { auth_type: '2' })).toBe('ACCESS_DENIED')
    expect(await count(user, { auth_type: 2 })).toBe(1)
    expect(await count(bench.token, { auth_connector: 'any' })).toBe(1)
    await bindAll()
    expect(await count(bench.token, {})).toBe(3)
  })

  it('wants an event, and a handler when it is online', async () => {
    const { call } = await openApplication()
    expect((await call('event.unbind')).body.argument).toBe('EVENT')
    expect((await call('event.unbind', { event: 'ONTASKADD' })).body.argument).toBe('HANDLER')
    const offline = { event: 'ONTASKADD', event_type: 'offline' }
    expect((await call('event.unbind', offline)).body.result).toEqual({ count: 0 })
  })
})

// https://apidocs.bitrix24.com/api-reference/events/events.html
describe('events', () => {
  it('lists those of the own scopes and of everybody, of one scope, or all', async () => {
    const { sandbox, call } = await openApplication()
    sandbox.change({ scopes: { [CLIENT_ID]: ['user'] } })
    const names = async (params: object) => (await call('events', params)).body.result
    expect(await names({})).toEqual([
      'ONAPPINSTALL',
      'ONAPPUNINSTALL',
      'ONAPPUPDATE',
      'ONAPPPAYMENT',
      'ONSUBSCRIPTIONRENEW',
      'ONAPPTEST',
      'ONAPPMETHODCONFIRM',
      'ONOFFLINEEVENT',
      'ONUSERADD',
    ])
    expect(await names({ SCOPE: 'task' })).toEqual(
      ['ADD', 'UPDATE', 'DELETE']
        .map((act) => `ONTASK${act}`)
        .concat(['ADD', 'UPDATE', 'DELETE'].map((act) => `ONTASKCOMMENT${act}`)),
    )
    expect(await names({ SCOPE: 'nonsense' })).toEqual([])
    const all = await names({ FULL: 1 })
    expect(all).toEqual(expect.arrayContaining(['ONCRMDEALMOVETOCATEGORY', 'ONCALENDARENTRYADD']))
    expect(new Set(all).size).toBe(all.length)
  })
})
