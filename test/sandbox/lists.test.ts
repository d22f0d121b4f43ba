import { describe, expect, it } from 'vitest'
import { Table } from '../../src/sandbox/table.ts'
import { ask, open, send } from './ask.ts'

const ids = (rows: { ID?: string; id?: number }[]) => rows.map((row) => Number(row.ID ?? row.id))
const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i)

// https://apidocs.bitrix24.com/settings/how-to-call-rest-api/list-methods-pecularities.html
describe('pages', () => {
  it.each([
    [0, 50, 50],
    [50, 50, 100],
    [70, 50, 100],
    [100, 20, undefined],
    [150, 0, undefined],
  ])('from %i hold %i rows and lead to %s', async (start, rows, next) => {
    const sandbox = await open({ deals: 120 })
    const { body } = await ask(sandbox, 'crm.deal.list', { start })
    expect([body.result.length, body.total, body.next]).toEqual([rows, 120, next])
    for (const row of body.result) expect(row.ID).toMatch(/^\d+$/)
  })

  it('know only start in lower case', async () => {
    const sandbox = await open({ deals: 120 })
    expect(ids((await ask(sandbox, 'crm.deal.list', { START: 50 })).body.result)[0]).toBe(1)
  })

  it.each([
    ['crm.deal.list', { start: -1 }, 0],
    ['crm.item.list', { start: -1, entityTypeId: 2 }, 0],
    ['tasks.task.list', { start: -1 }, undefined],
    ['user.get', { start: '-1' }, 0],
  ])('of %s asked for with %j are not counted', async (method, params, total) => {
    const sandbox = await open({ deals: 120, tasks: 120, users: 60 })
    const { body } = await ask(sandbox, method, params)
    expect([body.total, body.next]).toEqual([total, undefined])
    expect(
      (Object.values(body.result).length === 1 ? Object.values(body.result)[0] : body.result).length,
    ).toBe(50)
  })

  it('can have no total, or zero, for all methods', async () => {
    const absent = await open({ switches: { totalUncounted: 'absent' } })
    expect((await ask(absent, 'crm.deal.list', { start: -1 })).body.total).toBeUndefined()
    const zero = await open({ switches: { totalUncounted: 'zero' } })
    expect((await ask(zero, 'tasks.task.list', { start: -1 })).body.total).toBe(0)
  })

  // https://apidocs.bitrix24.com/settings/performance/huge-data.html
  it('by id end with a short one', async () => {
    const sandbox = await open({ deals: 120 })
    await ask(sandbox, 'crm.deal.delete', { id: 60 })
    const seen: number[] = []
    for (let last = 0, rows = 50; rows === 50; ) {
      const { body } = await ask(sandbox, 'crm.deal.list', {
        filter: { '>ID': String(last) },
        order: { ID: 'ASC' },
        start: -1,
      })
      seen.push(...ids(body.result))
      rows = body.result.length
      last = seen.at(-1)!
    }
    expect(seen).toEqual([...upTo(1, 59), ...upTo(61, 120)])
  })

  it('of a million rows cost no more than others', async () => {
    const sandbox = await open({ deals: 1_000_000 })
    const started = performance.now()
    const page = await ask(sandbox, 'crm.deal.list', {
      filter: { '>ID': 987_654 },
      order: { ID: 'ASC' },
      start: -1,
    })
    const offset = await ask(sandbox, 'crm.deal.list', { start: 999_950 })
    const descending = await ask(sandbox, 'crm.deal.list', {
      order: { ID: 'DESC' },
      filter: { '<ID': 500_001 },
    })
    const external = await ask(sandbox, 'crm.deal.list', { filter: { '=ORIGIN_ID': 'none' } })
    expect(performance.now() - started).toBeLessThan(1000)
    expect(ids(page.body.result)).toEqual(upTo(987_655, 987_704))
    expect(ids(offset.body.result)).toEqual(upTo(999_951, 1_000_000))
    expect([ids(descending.body.result)[0], descending.body.total, descending.body.next]).toEqual([
      500_000, 500_000, 50,
    ])
    expect([external.body.result, external.body.total]).toEqual([[], 0])
  })
})

describe('a table', () => {
  it('counts, skips and orders the same with and without deleted rows', () => {
    const table = new Table({ count: 200, generate: (id) => ({ ID: String(id) }) })
    const left = new Set(upTo(1, 200))
    for (const id of [1, 2, 50, 51, 52, 99, 100, 150, 199, 200]) {
      expect(table.remove(id)).toBe(true)
      left.delete(id)
    }
    expect(table.remove(50)).toBe(false)
    expect(table.insert({ TITLE: 'x' })).toBe(201)
    left.add(201)
    for (const [low, high, skip] of [
      [1, 201, 0],
      [1, 201, 48],
      [50, 160, 3],
      [51, 51, 0],
      [-5, 1000, 189],
      [100, 150, 60],
    ] as const) {
      const inside = [...left].filter((id) => id >= low && id <= high)
      expect(table.countBetween(low, high)).toBe(inside.length)
      expect([...table.ids(low, high, false, skip)]).toEqual(inside.slice(skip))
      expect([...table.ids(low, high, true, skip)]).toEqual(inside.reverse().slice(skip))
    }
  })
})

// https://apidocs.bitrix24.com/api-reference/user/user-get.html
describe('a filter', () => {
  it.each([
    [{ ID: 7 }, [7]],
    [{ '=ID': ['3', '9', '900'] }, [3, 9]],
    [{ '@ID': [9, 3] }, [3, 9]],
    [{ '>ID': 3, '<=ID': '5' }, [4, 5]],
    [{ '>=ID': 18, '!ID': 19 }, [18, 20]],
    [{ '!@ID': upTo(1, 18) }, [19, 20]],
    [{ '%TITLE': 'EAL 1', '<ID': 12 }, [1, 10, 11]],
    [{ '=%TITLE': 'deal 2%' }, [2, 20]],
    [{ '%=TITLE': 'Deal _', '<ID': 4 }, [1, 2, 3]],
    [{ '!%TITLE': '1', '<ID': 4 }, [2, 3]],
    [{ '!=%TITLE': 'Deal 1%', '<ID': 4 }, [2, 3]],
    [{ TITLE: 'Deal 5' }, [5]],
    [{ '=ORIGIN_ID': '', '<ID': 3 }, [1, 2]],
    [{ '!TITLE': '', '<ID': 3 }, [1, 2]],
    [{ '<DATE_CREATE': '2024-01-01T12:03:00+03:00' }, [1, 2]],
    [{ '>=OPPORTUNITY': '0', '<ID': 2 }, [1]],
    [{ NOPE: 1, '<ID': 3 }, [1, 2]],
    [{ '>ID': [], '<ID': 3 }, [1, 2]],
  ])('%j finds %j', async (filter, found) => {
    const sandbox = await open({ deals: 20 })
    const { body } = await ask(sandbox, 'crm.deal.list', { filter, order: { ID: 'ASC' } })
    expect(ids(body.result)).toEqual(found)
    expect(body.total).toBe(found.length)
  })

  it('of an unknown field changes nothing in classic methods', async () => {
    const sandbox = await open({ deals: 20 })
    const { body } = await ask(sandbox, 'crm.deal.list', { filter: { NOPE: 1 } })
    expect(body.total).toBe(20)
  })

  it.each([
    [{ filter: 'x' }, "Parameter 'filter' must be array."],
    [{ order: 'ID' }, "Parameter 'order' must be array."],
  ])('%j is refused', async (params, error_description) => {
    const sandbox = await open()
    const { status, body } = await ask(sandbox, 'crm.deal.list', params)
    expect([status, body]).toEqual([400, { error: '', error_description }])
  })

  it('sorts by other fields, ties by id', async () => {
    const sandbox = await open({ deals: 200 })
    const { body } = await ask(sandbox, 'crm.deal.list', {
      order: { OPPORTUNITY: 'DESC' },
      select: ['OPPORTUNITY'],
    })
    const sums = body.result.map((row: { OPPORTUNITY: string }) => Number(row.OPPORTUNITY))
    expect(sums).toEqual([...sums].sort((a, b) => b - a))
  })

  it('finds a key by its present value only', async () => {
    const sandbox = await open({ deals: 10 })
    const found = async (key: string) => {
      const filter = { '=ORIGIN_ID': key }
      return ids((await ask(sandbox, 'crm.deal.list', { filter })).body.result)
    }
    await ask(sandbox, 'crm.deal.update', { id: 5, fields: { ORIGIN_ID: 'a' } })
    await ask(sandbox, 'crm.deal.update', { id: 3, fields: { ORIGIN_ID: 'a' } })
    expect(await found('a')).toEqual([3, 5])
    await ask(sandbox, 'crm.deal.update', { id: 5, fields: { ORIGIN_ID: 'b' } })
    await ask(sandbox, 'crm.deal.delete', { id: 3 })
    expect([await found('a'), await found('b')]).toEqual([[], [5]])
  })

  it('finds written rows by an external key, once', async () => {
    const sandbox = await open({ deals: 1000 })
    const { body } = await ask(sandbox, 'crm.deal.add', {
      fields: { TITLE: 'x', ORIGIN_ID: 'erp-1', ORIGINATOR_ID: 'erp' },
    })
    const found = await ask(sandbox, 'crm.deal.list', {
      filter: { ORIGINATOR_ID: 'erp', ORIGIN_ID: 'erp-1' },
    })
    expect(ids(found.body.result)).toEqual([body.result])
  })
})

// https://apidocs.bitrix24.com/api-reference/crm/contacts/crm-contact-list.html
describe('a selection', () => {
  it.each([
    [undefined, true, false, false],
    [['*'], true, false, false],
    [['*', 'PHONE', 'UF_*'], true, true, true],
    [['ID', 'PHONE', 'NOPE'], false, true, false],
  ])('%j gives names %s, phones %s, user fields %s', async (select, name, phone, user) => {
    const sandbox = await open({ contacts: 0 })
    await ask(sandbox, 'crm.contact.add', { fields: { NAME: 'A', PHONE: [{ VALUE: '1' }], UF_CRM_1: 'u' } })
    const row = (await ask(sandbox, 'crm.contact.list', { select })).body.result[0]
    expect(['NAME' in row, 'PHONE' in row, 'UF_CRM_1' in row, 'NOPE' in row]).toEqual([
      name,
      phone,
      user,
      false,
    ])
    expect(row.ID).toBe('1')
  })
})

// https://apidocs.bitrix24.com/api-reference/crm/universal/crm-item-list.html
describe('crm.item.list', () => {
  it('wraps rows in items, with number ids and camelCase names', async () => {
    const sandbox = await open({ deals: 3 })
    const { body } = await ask(sandbox, 'crm.item.list', { entityTypeId: 2, order: { id: 'desc' } })
    expect(body.result.items.map((item: { id: number }) => item.id)).toEqual([3, 2, 1])
    expect(body.result.items[0]).toMatchObject({
      title: 'Deal 3',
      assignedById: expect.any(Number),
      originId: null,
    })
  })

  it.each([
    [{ entityTypeId: 99 }, 'NOT_FOUND'],
    [{}, '100'],
    [{ entityTypeId: 2, filter: { TITLE: 'x' } }, 'INVALID_ARG_VALUE'],
    [{ entityTypeId: 2, order: { nope: 'ASC' } }, 'INVALID_ARG_VALUE'],
  ])('refuses %j with %s', async (params, error) => {
    const sandbox = await open()
    const { status, body } = await ask(sandbox, 'crm.item.list', params)
    expect([status, body.error]).toEqual([400, error])
  })

  it('understands groups of conditions', async () => {
    const sandbox = await open({ deals: 20 })
    const filter = { '>id': 2, 0: { logic: 'OR', 0: { id: [1, 5] }, 1: { '=title': 'Deal 9' } } }
    const { body } = await ask(sandbox, 'crm.item.list', { entityTypeId: 2, filter, select: ['id'] })
    expect(body.result.items).toEqual([{ id: 5 }, { id: 9 }])
    expect(body.total).toBe(2)
  })
})

// https://apidocs.bitrix24.com/api-reference/tasks/tasks-task-list.html
describe('tasks.task.list', () => {
  it('wraps rows in tasks, with text ids and empty lists for empty objects', async () => {
    const sandbox = await open({ tasks: 3 })
    const { body } = await ask(sandbox, 'tasks.task.list', { order: { ID: 'desc' }, filter: { '<ID': 3 } })
    expect(body.result.tasks.map((task: { id: string }) => task.id)).toEqual(['2', '1'])
    expect(body.result.tasks[0]).toMatchObject({ responsibleId: expect.any(String), group: [] })
    expect(body.total).toBe(2)
  })

  it('refuses an order by an unknown field, and is not counted when told so', async () => {
    const sandbox = await open({ tasks: 60 })
    const { status, body } = await ask(sandbox, 'tasks.task.list', { order: { nope: 'asc' } })
    expect([status, body.error]).toEqual([400, '0'])
    const uncounted = await ask(sandbox, 'tasks.task.list', { params: { COUNT_TOTAL: 'N' } })
    expect([uncounted.body.total, uncounted.body.next]).toEqual([undefined, 50])
  })
})

describe('an empty list', () => {
  it('is a list in the wrapper of its method', async () => {
    const sandbox = await open({ deals: 0, tasks: 0 })
    expect((await ask(sandbox, 'crm.deal.list')).body).toMatchObject({ result: [], total: 0 })
    expect((await ask(sandbox, 'tasks.task.list')).body.result).toEqual({ tasks: [] })
    expect((await ask(sandbox, 'crm.item.list', { entityTypeId: 2 })).body.result).toEqual({ items: [] })
  })
})

// https://apidocs.bitrix24.com/api-reference/departments/department-get.html
describe('people', () => {
  it.each([
    { FILTER: { '>ID': 1 }, sort: 'ID', order: 'ASC' },
    { filter: { '>ID': '1' }, SORT: 'id', ORDER: 'asc' },
  ])('are listed with %j', async (params) => {
    const sandbox = await open({ users: 4 })
    expect(ids((await ask(sandbox, 'user.get', params)).body.result)).toEqual([2, 3, 4])
  })

  it('are found by top-level fields, by activity and by words', async () => {
    const sandbox = await open({ users: 4 })
    expect(ids((await ask(sandbox, 'user.get', { ID: [2, 3] })).body.result)).toEqual([2, 3])
    await ask(sandbox, 'user.update', { ID: 2, ACTIVE: false })
    expect(ids((await ask(sandbox, 'user.get', { filter: { ACTIVE: 'Y' } })).body.result)).toEqual([1, 3, 4])
    expect(ids((await ask(sandbox, 'user.search', { FIND: 'user.3' })).body.result)).toEqual([3])
    expect(ids((await ask(sandbox, 'user.search', { FILTER: { EMAIL: 'USER.4@' } })).body.result)).toEqual([
      4,
    ])
  })

  it('sit in departments, which are filtered by equality', async () => {
    const sandbox = await open()
    const { body } = await ask(sandbox, 'department.get', { PARENT: 1, sort: 'ID', order: 'DESC' })
    expect(ids(body.result)).toEqual([4, 3, 2])
    expect((await send(`${sandbox.webhookUrl}department.get?ID[]=1&ID[]=3`)).body.result.length).toBe(2)
  })
})
