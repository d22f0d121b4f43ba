import { describe, expect, it } from 'vitest'
import type { Sandbox } from '../../src/sandbox/index.ts'
import { type AskOptions, ask, open, type Reply, send } from './ask.ts'

const CODE = 'BITRIX_REST_V3_EXCEPTION_'

function ask3(sandbox: Sandbox, method: string, params: unknown = {}, at: AskOptions = {}): Promise<Reply> {
  return ask(sandbox, method, params, { base: `${sandbox.url}/rest/api/1/s3cr3t/`, ...at })
}

function codeOf({ status, body }: Reply): [number, string] {
  return [status, String(body.error.code).replace(CODE, '')]
}

function addTask(title: string) {
  return { fields: { title, creatorId: 1, responsibleId: 2 } }
}

// https://apidocs.bitrix24.com/api-reference/rest-v3.html
describe('REST v3', () => {
  it('adds, shows, changes, lists and deletes tasks in shapes of its own', async () => {
    const sandbox = await open()
    const added = await ask3(sandbox, 'tasks.task.add', addTask('Prepare report'))
    const { id } = added.body.result.item
    expect(added.body).toMatchObject({
      result: {
        item: { id: expect.any(Number), title: 'Prepare report', priority: 'average', status: 'pending' },
      },
      time: { date_finish: expect.any(String) },
    })
    expect(
      (await ask3(sandbox, 'tasks.task.update', { id, fields: { priority: 'high' } })).body.result,
    ).toEqual({
      result: true,
    })
    const select = ['title', 'priority', 'responsible.name', 'unknown']
    const shown = await ask3(sandbox, 'tasks.task.get', { id, select })
    expect(shown.body.result.item).toEqual({
      id,
      title: 'Prepare report',
      priority: 'high',
      responsible: { name: expect.any(String) },
    })
    const older = await ask(sandbox, 'tasks.task.get', { taskId: id, select: ['ID', 'TITLE', 'PRIORITY'] })
    expect(older.body.result.task).toMatchObject({ title: 'Prepare report', priority: '2' })
    const filter = [
      ['id', '>', 3],
      {
        logic: 'or',
        conditions: [
          ['id', [4, 5]],
          ['title', '=', 'Task 7'],
        ],
      },
    ]
    const listed = await ask3(sandbox, 'tasks.task.list', { filter, select: ['id'], order: { id: 'DESC' } })
    expect(listed.body.result).toEqual({ items: [{ id: 7 }, { id: 5 }, { id: 4 }] })
    expect(listed.body).not.toHaveProperty('total')
    expect((await ask3(sandbox, 'tasks.task.delete', { id })).body.result).toEqual({ result: true })
    expect(codeOf(await ask3(sandbox, 'tasks.task.get', { id }))).toEqual([400, 'ENTITYNOTFOUNDEXCEPTION'])
  })

  it('takes the token of an application from the JSON body', async () => {
    const sandbox = await open()
    const base = `${sandbox.url}/rest/api/`
    const { body } = await ask3(sandbox, 'tasks.task.get', { id: 1, auth: sandbox.accessToken }, { base })
    expect(body.result.item.id).toBe(1)
    const inQuery = await send(`${base}tasks.task.get?auth=${sandbox.accessToken}`, { body: '{"id":1}' })
    expect(codeOf(inQuery)).toEqual([401, 'ACCESSDENIEDEXCEPTION'])
  })

  it('knows methods that the older version does not, and the other way round', async () => {
    const sandbox = await open({ users: 5 })
    const cursor = { field: 'id', value: 2, limit: 2 }
    const tail = await ask3(sandbox, 'main.eventlog.tail', { cursor, select: ['id', 'auditTypeId'] })
    expect(tail.body.result.items).toEqual([
      { id: 3, auditTypeId: 'USER_AUTHORIZE' },
      { id: 4, auditTypeId: 'USER_AUTHORIZE' },
    ])
    const scopes = await send(`${sandbox.url}/rest/api/1/s3cr3t/rest.scope.list`)
    expect(scopes.body.result.items).toContainEqual({ method: 'main.eventlog.tail', scopes: ['main'] })
    expect((await ask(sandbox, 'main.eventlog.tail')).body.error).toBe('ERROR_METHOD_NOT_FOUND')
    expect(codeOf(await ask3(sandbox, 'crm.deal.get', { id: 1 }))).toEqual([404, 'METHODNOTFOUNDEXCEPTION'])
  })

  it('answers faults as objects, with the fields that are wrong', async () => {
    const sandbox = await open()
    const task = (params: unknown) => ask3(sandbox, 'tasks.task.list', params)
    const form = await send(`${sandbox.url}/rest/api/1/s3cr3t/tasks.task.get`, {
      body: 'id=1',
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(codeOf(form)).toEqual([400, 'INVALIDJSONEXCEPTION'])
    const missing = await ask3(sandbox, 'tasks.task.add', { fields: { title: 'x', creatorId: '1' } })
    expect(codeOf(missing)).toEqual([400, 'VALIDATION_REQUESTVALIDATIONEXCEPTION'])
    expect(missing.body.error.validation.map(({ field }: { field: string }) => field)).toEqual([
      'responsibleId',
      'creatorId',
    ])
    const inQuery = await send(`${sandbox.url}/rest/api/1/s3cr3t/tasks.task.get?id=1`)
    expect(codeOf(inQuery)).toEqual([400, 'VALIDATION_REQUESTVALIDATIONEXCEPTION'])
    expect(codeOf(await task({ filter: { '>id': 1 } }))).toEqual([400, 'INVALIDFILTEREXCEPTION'])
    expect(codeOf(await task({ filter: [['id', '~', 1]] }))).toEqual([400, 'UNKNOWNFILTEROPERATOREXCEPTION'])
    expect(codeOf(await task({ filter: [['nope', '=', 1]] }))).toEqual([400, 'UNKNOWNDTOPROPERTYEXCEPTION'])
    expect(codeOf(await task({ select: ['responsible.nope'] }))).toEqual([400, 'UNKNOWNDTOPROPERTYEXCEPTION'])
    expect(codeOf(await task({ pagination: { limit: 0 } }))).toEqual([400, 'INVALIDPAGINATIONEXCEPTION'])
    const wrong = await ask3(sandbox, 'tasks.task.get', {}, { base: `${sandbox.url}/rest/api/1/nope/` })
    expect(codeOf(wrong)).toEqual([401, 'ACCESSDENIEDEXCEPTION'])
    sandbox.change({ scopes: { s3cr3t: ['crm'] } })
    expect(codeOf(await task({}))).toEqual([403, 'INSUFFICIENTSCOPEEXCEPTION'])
  })

  it('counts against the limits of the portal, together with the older version, and breaks as told', async () => {
    const sandbox = await open({
      limits: { capacity: 1, drainPerSecond: 1 },
      now: () => 0,
      costs: { 'tasks.task.get': 600 },
      cutMs: Number.MAX_SAFE_INTEGER,
    })
    await ask(sandbox, 'server.time')
    await ask3(sandbox, 'tasks.task.get', { id: 1 })
    const over = await ask3(sandbox, 'tasks.task.get', { id: 1 })
    expect([over.status, over.body.error.code]).toEqual([503, 'QUERY_LIMIT_EXCEEDED'])
    sandbox.change({ limits: 'off' })
    expect(codeOf(await ask3(sandbox, 'tasks.task.get', { id: 1 }))).toEqual([429, 'RATELIMITEXCEPTION'])
    sandbox.fault([{ kind: 'reset-after', match: { method: 'tasks.task.add' } }])
    await expect(ask3(sandbox, 'tasks.task.add', addTask('Answer lost'))).rejects.toThrow()
    expect(sandbox.stats().writes).toBe(1)
  })
})

// https://apidocs.bitrix24.com/api-reference/rest-v3.html#idempotency
describe('Idempotency-Key', () => {
  const keyed = (key: string): AskOptions => ({ headers: { 'idempotency-key': key } })

  it('carries a write out once, and answers the same for a day', async () => {
    const sandbox = await open()
    const add = (at: AskOptions) => ask3(sandbox, 'tasks.task.add', addTask('Once'), at)
    const first = await add(keyed('a'))
    const second = await add(keyed('a'))
    expect(second.body.result).toEqual(first.body.result)
    expect(first.headers).toMatchObject({ 'idempotency-key': 'a' })
    expect(first.headers).not.toHaveProperty('idempotent-replayed')
    expect(second.headers).toMatchObject({ 'idempotency-key': 'a', 'idempotent-replayed': 'true' })
    expect(sandbox.stats().writes).toBe(1)
    sandbox.advance(24 * 60 * 60_000)
    expect((await add(keyed('a'))).body.result.item.id).not.toBe(first.body.result.item.id)
  })

  it('belongs to a credential and a method, and to one request', async () => {
    const sandbox = await open()
    await ask3(sandbox, 'tasks.task.add', addTask('One'), keyed('a'))
    expect(codeOf(await ask3(sandbox, 'tasks.task.add', addTask('Other'), keyed('a')))).toEqual([
      422,
      'IDEMPOTENCYKEYREUSEDEXCEPTION',
    ])
    const base = `${sandbox.url}/rest/api/`
    const { status } = await ask3(
      sandbox,
      'tasks.task.add',
      { ...addTask('Other'), auth: sandbox.accessToken },
      { base, ...keyed('a') },
    )
    expect(status).toBe(200)
    expect((await ask3(sandbox, 'tasks.task.delete', { id: 1 }, keyed('a'))).status).toBe(200)
  })

  it('is refused when it is no key, forgotten after a failure, and not looked at elsewhere', async () => {
    const sandbox = await open()
    for (const bad of ['', 'k'.repeat(256), 'k\u00fc'])
      expect(codeOf(await ask3(sandbox, 'tasks.task.add', addTask('Bad key'), keyed(bad)))).toEqual([
        400,
        'INVALIDIDEMPOTENCYKEYEXCEPTION',
      ])
    await ask3(sandbox, 'tasks.task.add', { fields: {} }, keyed('b'))
    expect((await ask3(sandbox, 'tasks.task.add', addTask('After all'), keyed('b'))).status).toBe(200)
    expect((await ask3(sandbox, 'tasks.task.get', { id: 1 }, keyed(''))).status).toBe(200)
    const fields = { TITLE: 'Twice', RESPONSIBLE_ID: 1 }
    const older = [0, 1].map(() => ask(sandbox, 'tasks.task.add', { fields }, keyed('c')))
    const ids = (await Promise.all(older)).map(({ body }) => body.result.task.id)
    expect(new Set(ids).size).toBe(2)
  })
})
