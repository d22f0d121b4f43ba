import { describe, expect, it } from 'vitest'
import { makeFindable } from '../../../src/bridge/commands/verify.ts'
import type { CallCommand } from '../../../src/model/command.ts'

function add(method: string, fields: Record<string, string>, more: Partial<CallCommand> = {}): CallCommand {
  return { action: 'call', method, params: { fields }, meta: {}, verify: 'origin', ...more }
}

describe('a write that is to be found again', () => {
  it('is left as it is without a recipe', () => {
    const { verify, ...plain } = add('crm.deal.add', { TITLE: 'A' })
    expect(makeFindable(plain, 'order-1')).toBeUndefined()
  })

  it('carries the message id as the key of another system, and is looked for by it', () => {
    const found = makeFindable(add('crm.deal.add', { TITLE: 'A' }), 'order-1')
    expect(found?.command.params).toEqual({
      fields: { TITLE: 'A', ORIGINATOR_ID: 'b24-bridge', ORIGIN_ID: 'order-1' },
    })
    expect(found?.lookup).toMatchObject({
      method: 'crm.deal.list',
      params: { filter: { '=ORIGINATOR_ID': 'b24-bridge', '=ORIGIN_ID': 'order-1' } },
    })
    expect(found?.lookup.resultOf({ ID: '17' })).toBe(17)
  })

  it('keeps the key that its sender has set, and looks for that one, also without a message id', () => {
    const command = add('crm.lead.add', { ORIGINATOR_ID: 'shop', ORIGIN_ID: '4711' })
    const found = makeFindable(command, undefined)
    expect(found?.command.params).toEqual(command.params)
    expect(found?.lookup.params).toMatchObject({ filter: { '=ORIGINATOR_ID': 'shop', '=ORIGIN_ID': '4711' } })
  })

  it('knows the names of crm.item.* and of tasks, and what their methods answer', () => {
    const item = makeFindable(
      add('crm.item.add', {}, { params: { entityTypeId: 2, fields: { title: 'A' } }, verify: 'xml_id' }),
      'order-1',
    )
    expect(item?.command.params).toEqual({ entityTypeId: 2, fields: { title: 'A', xmlId: 'order-1' } })
    expect(item?.lookup).toMatchObject({
      method: 'crm.item.list',
      params: { entityTypeId: 2, filter: { '=xmlId': 'order-1' } },
    })
    expect(item?.lookup.resultOf({ id: 5 })).toEqual({ item: { id: 5 } })
    const task = makeFindable(add('tasks.task.add', { TITLE: 'A' }, { verify: 'xml_id' }), 'order-1')
    expect(task?.lookup.resultOf({ id: '5' })).toEqual({ task: { id: '5' } })
  })

  it('forgets the raw text of its parameters, which does not hold the mark', () => {
    const found = makeFindable(add('crm.deal.add', {}, { rawParams: '{"fields":{}}' }), 'order-1')
    expect(found?.command.rawParams).toBeUndefined()
  })

  it.each([
    ['without a message id', add('crm.deal.add', {}), undefined, 'VERIFY_NEEDS_ID'],
    ['where nothing can hold a key', add('im.message.add', {}), 'order-1', 'VERIFY_INVALID'],
    ['where only another key can be held', add('crm.product.add', {}), 'order-1', 'VERIFY_INVALID'],
  ])('is refused %s', (_why, command, id, code) => {
    expect(() => makeFindable(command, id)).toThrow(expect.objectContaining({ code }))
  })

  it('may name any list of its own', () => {
    const verify = { method: 'lists.element.get', params: { FILTER: { '=NAME': 'A' } } }
    const command = add('lists.element.add', {}, { verify })
    expect(makeFindable(command, undefined)).toMatchObject({ command, lookup: verify })
  })
})
