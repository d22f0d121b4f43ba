import { describe, expect, test } from 'vitest'
import { listFacts } from '../../../src/client/list/catalogue.ts'
import { idBelow, rowsOf } from '../../../src/client/list/rows.ts'

describe('the catalogue of list methods', () => {
  test.each([
    ['crm.deal.list', 'ID', 'ID', true],
    ['crm.item.list', 'id', 'id', true],
    ['crm.stagehistory.list', 'ID', 'ID', true],
    ['tasks.task.list', 'id', 'ID', true],
    ['user.get', 'ID', 'ID', true],
    ['catalog.productProperty.list', 'id', 'id', true],
    ['catalog.product.sku.list', 'id', 'id', true],
    ['sale.basketItem.list', 'id', 'id', true],
    ['crm.category.list', 'id', 'id', false],
    ['crm.status.list', 'ID', 'ID', false],
    ['sale.status.list', 'id', 'id', false],
    ['department.get', 'ID', 'ID', false],
    ['disk.file.search', 'ID', 'ID', false],
    ['no.such.list', null, null, false],
  ])('%s has its id in %s, asks by %s, by id: %s', (method, id, requestId, keyset) => {
    expect(listFacts(method)).toMatchObject({ id, requestId, keyset })
  })

  test('does not mind the case of a method', () => {
    expect(listFacts('CRM.Deal.List')).toBe(listFacts('crm.deal.list'))
  })
})

describe('finding rows', () => {
  test('takes an array as it is, also where a wrapper was expected', () => {
    expect(rowsOf([{ ID: '1' }], 'tasks')).toEqual({ rows: [{ ID: '1' }], wrapper: null })
    expect(rowsOf([], 'tasks').rows).toEqual([])
  })
  test('looks into the wrapper, known or not', () => {
    const result = { hasMore: false, items: [{ id: 1 }] }
    expect(rowsOf(result, 'items')).toEqual({ rows: [{ id: 1 }], wrapper: 'items' })
    expect(rowsOf(result)).toEqual({ rows: [{ id: 1 }], wrapper: 'items' })
    expect(rowsOf(result, 'elsewhere').wrapper).toBe('items')
  })
  test('takes the values of an object that is keyed by ids', () => {
    expect(rowsOf({ 7: { id: 7 }, 9: { id: 9 } }).rows).toEqual([{ id: 7 }, { id: 9 }])
    expect(rowsOf({ templates: { 7: { id: 7 } } })).toEqual({ rows: [{ id: 7 }], wrapper: 'templates' })
  })
  test('finds nothing in a scalar, in null and in an object without lists', () => {
    for (const result of [true, null, 5, { name: 'x' }, undefined]) expect(rowsOf(result).rows).toEqual([])
  })
  test('compares ids as numbers of any length', () => {
    expect(idBelow('9', '10')).toBe(true)
    expect(idBelow('10', '9')).toBe(false)
    expect(idBelow('9007199254740993', '9007199254740994')).toBe(true)
  })
})
