import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { chainCalls, judgePage, nextGroup } from '../../../src/client/list/chain.ts'
import { type KeysetPlan, keysetParams, planWalk } from '../../../src/client/list/plan.ts'
import type { JsonObject } from '../../../src/model/json.ts'

function byId(method: string, params: JsonObject = {}): KeysetPlan {
  const plan = planWalk(method, params)
  if (plan.walk !== 'keyset') throw new Error(plan.reason)
  return plan
}

describe('choosing the walk', () => {
  test.each<[string, JsonObject]>([
    ['an own order', { order: { TITLE: 'ASC' } }],
    ['an order by id descending', { order: { ID: 'DESC' } }],
    ['an order by id and more', { order: { ID: 'ASC', TITLE: 'ASC' } }],
    ['a start', { start: 100 }],
    ['a start as text', { start: '50' }],
    ['a filter >ID with a list', { filter: { '>ID': [1, 2] } }],
    ['a filter >id in another case', { filter: { '>id': 5 } }],
    ['a filter that is text', { filter: 'x' }],
    ['two filters', { filter: {}, FILTER: {} }],
  ])('%s makes it a walk by offset', (_, params) => {
    expect(planWalk('crm.deal.list', params)).toMatchObject({ walk: 'offset' })
  })

  test.each<[string, JsonObject, string | null]>([
    ['nothing at all', {}, null],
    ['an order by id', { order: { ID: 'asc' } }, null],
    ['an empty order as PHP writes it', { order: [] }, null],
    ['start 0 or below', { start: -1 }, null],
    ['other conditions on the id', { filter: { '<=ID': 9, '!ID': 4 } }, null],
    ['its own >ID, from which it begins', { filter: { '>ID': 5 } }, '5'],
  ])('%s leaves it a walk by id', (_, params, after) => {
    expect(planWalk('crm.deal.list', params)).toMatchObject({ walk: 'keyset', after })
  })

  test('begins behind the greater of an own >ID and the place to resume at', () => {
    expect(planWalk('crm.deal.list', { filter: { '>ID': 5 } }, { after: '40' })).toMatchObject({
      after: '40',
    })
    expect(planWalk('crm.deal.list', { filter: { '>ID': 50 } }, { after: '40' })).toMatchObject({
      after: '50',
    })
  })

  test('keeps the default order where asked to, unless that is known to be by id', () => {
    expect(planWalk('crm.deal.list', {}, { sameOrder: true }).walk).toBe('keyset')
    expect(planWalk('crm.activity.list', {}, { sameOrder: true }).walk).toBe('offset')
    expect(planWalk('crm.activity.list', { order: { ID: 'ASC' } }, { sameOrder: true }).walk).toBe('keyset')
  })

  test('lets the caller know better than the catalogue', () => {
    const facts = { keyset: true, id: 'id', requestId: 'ID' }
    expect(planWalk('my.own.list', {}, { facts }).walk).toBe('keyset')
  })
})

describe('parameters of a page by id', () => {
  test('old methods get order, filter and start=-1', () => {
    const plan = byId('crm.deal.list', { filter: { STAGE_ID: 'NEW' }, select: ['TITLE'] })
    expect(keysetParams(plan, '7', false)).toEqual({
      select: ['ID', 'TITLE'],
      filter: { STAGE_ID: 'NEW', '>ID': '7' },
      order: { ID: 'ASC' },
      start: -1,
    })
  })
  test('users get sort and order as two parameters, in the spelling of the caller', () => {
    expect(keysetParams(byId('user.get', { ORDER: 'asc', sort: 'ID' }), '1', false)).toEqual({
      FILTER: { '>ID': '1' },
      sort: 'ID',
      ORDER: 'ASC',
      start: -1,
    })
  })
  test('tasks are asked in upper case and spared the counting in both ways', () => {
    expect(keysetParams(byId('tasks.task.list'), '1', false)).toEqual({
      filter: { '>ID': '1' },
      order: { ID: 'ASC' },
      params: { COUNT_TOTAL: 'N' },
      start: -1,
    })
  })
  test('a counted page has no start', () => {
    expect(keysetParams(byId('crm.deal.list'), null, true)).toEqual({ order: { ID: 'ASC' } })
  })
  test('pages of a chain refer to the last row of the page before, inside its wrapper', () => {
    const calls = chainCalls(byId('tasks.task.list'), '7', 3, 'tasks')
    expect(calls.map(({ name }) => name)).toEqual(['p0', 'p1', 'p2'])
    expect(calls.map(({ params }) => (params as JsonObject).filter)).toEqual([
      { '>ID': '7' },
      { '>ID': '$result[p0][tasks][49][id]' },
      { '>ID': '$result[p1][tasks][49][id]' },
    ])
  })
})

describe('judging pages', () => {
  const page = (ids: (number | string)[]) => ({
    rows: ids.map((ID) => ({ ID })),
    wrapper: null,
    total: undefined,
    next: undefined,
    seconds: 0,
  })
  test('ids above the last and strictly ascending are in order, anything else is not', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(100_000), { maxLength: 50 }), fc.nat(100_000), (ids, after) => {
        const sorted = [...ids].sort((left, right) => left - right)
        const honest = ids.every((id, index) => id === sorted[index]) && ids.every((id) => id > after)
        const { verdict } = judgePage(page(ids), 'ID', String(after))
        expect(verdict !== 'disordered').toBe(honest)
      }),
    )
  })
  test('a short page is the end, a full one is not, more than fifty rows are a portal that does not page', () => {
    const ids = (count: number) => Array.from({ length: count }, (_, index) => index + 1)
    expect(judgePage(page(ids(49)), 'ID', null)).toEqual({ verdict: 'end', last: '49' })
    expect(judgePage(page(ids(50)), 'ID', null)).toEqual({ verdict: 'full', last: '50' })
    expect(judgePage(page(ids(51)), 'ID', null).verdict).toBe('disordered')
    expect(judgePage(page([]), 'ID', '7')).toEqual({ verdict: 'end', last: '7' })
  })
})

describe('the size of a group', () => {
  test('grows 1, 8, 50, and never leaves 1…50, whatever the portal says', () => {
    expect(nextGroup({ previous: 1, secondsPerPage: 0.05, maxSeconds: 20 })).toBe(8)
    expect(nextGroup({ previous: 8, secondsPerPage: 0.05, maxSeconds: 20 })).toBe(50)
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        fc.double({ min: 0, max: 100, noNaN: true }),
        (previous, seconds) => {
          const pages = nextGroup({ previous, secondsPerPage: seconds, maxSeconds: 20 })
          expect(pages).toBeGreaterThanOrEqual(1)
          expect(pages).toBeLessThanOrEqual(50)
          if (pages > 1) expect(pages * seconds).toBeLessThanOrEqual(20)
        },
      ),
    )
  })
})
