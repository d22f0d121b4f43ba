import { describe, expect, it } from 'vitest'
import type { DataChange } from '../../src/sandbox/index.ts'
import { eventsOf, openBound } from './application.ts'
import { ask, open, send } from './ask.ts'

describe('a change by people', () => {
  it.each([
    [
      { do: 'add', entity: 'deal', fields: { TITLE: 'Chairs', STAGE_ID: 'WON' }, userId: 3 },
      'crm.deal.get',
      { id: 121 },
      { ID: '121', TITLE: 'Chairs', STAGE_ID: 'WON', CREATED_BY_ID: '3' },
    ],
    [
      { do: 'change', entity: 'contact', id: 5, fields: { NAME: 'Ivy', ID: 9, NONSENSE: 1 } },
      'crm.contact.get',
      { id: 5 },
      { ID: '5', NAME: 'Ivy', DATE_MODIFY: '2026-06-01T15:00:00+03:00' },
    ],
    [
      { do: 'change', entity: 'product', id: 5, fields: { PRICE: 7 } },
      'crm.product.get',
      { id: 5 },
      { PRICE: '7.00', TIMESTAMP_X: '2026-06-01T15:00:00+03:00' },
    ],
    [
      { do: 'add', entity: 'task', fields: { TITLE: 'Call', RESPONSIBLE_ID: 2 } },
      'tasks.task.get',
      { taskId: 76 },
      { task: { id: '76', title: 'Call', responsibleId: '2', createdBy: '1' } },
    ],
    [
      { do: 'add', entity: 'user', fields: { EMAIL: 'new@example.com' } },
      'user.get',
      { ID: 13 },
      [{ ID: '13', EMAIL: 'new@example.com', ACTIVE: true }],
    ],
  ] as [DataChange, string, object, object][])(
    '%j is what REST shows',
    async (change, method, params, shown) => {
      const sandbox = await open({ now: () => Date.UTC(2026, 5, 1, 12) })
      await sandbox.changeData(change)
      expect((await ask(sandbox, method, params)).body.result).toMatchObject(shown)
      expect(sandbox.stats().writes).toBe(0)
    },
  )

  it('deletes', async () => {
    const sandbox = await open()
    expect((await sandbox.changeData({ do: 'delete', entity: 'lead', id: 4, count: 3 })).ids).toEqual([
      4, 5, 6,
    ])
    expect((await ask(sandbox, 'crm.lead.list')).body.total).toBe(57)
  })

  it('of many at once is many hits, or one', async () => {
    const bench = await openBound(['ONTASKCOMMENTADD', 'ONCRMDEALUPDATE'])
    const comment = { do: 'add', entity: 'comment', fields: { TASK_ID: 9, POST_MESSAGE: 'x' } } as const
    expect(await bench.sandbox.changeData({ ...comment, count: 3 })).toEqual({
      ids: [1, 2, 3],
      deliveries: { delivered: 3, refused: 0, lost: 0 },
    })
    const save = { do: 'raise', event: 'onCrmDealUpdate', data: { FIELDS: { ID: 7 } }, count: 3 } as const
    expect((await bench.sandbox.changeData(save)).deliveries?.delivered).toBe(3)
    expect((await bench.sandbox.changeData({ ...save, oneHit: true })).deliveries?.delivered).toBe(1)
    expect(eventsOf(bench)).toEqual([
      ...Array(3).fill('ONTASKCOMMENTADD'),
      ...Array(4).fill('ONCRMDEALUPDATE'),
    ])
  })

  it('can be ordered from another process', async () => {
    const { sandbox, app } = await openBound(['ONCRMDEALUPDATE'])
    const body = JSON.stringify({ do: 'change', entity: 'deal', id: 7, userId: null })
    expect((await send(`${sandbox.url}/__sandbox/changes`, { body })).body).toEqual({
      ids: [7],
      deliveries: { delivered: 1, refused: 0, lost: 0 },
    })
    expect(app.received).toHaveLength(1)
  })

  it.each([
    [{ do: 'change', entity: 'deal', id: 120, count: 2 }, 'no deal 121'],
    [{ do: 'delete', entity: 'user', id: 1 }, 'a user can only be added'],
    [{ do: 'add', entity: 'department' }, 'nobody changes objects of the kind department'],
    [{ do: 'wipe', entity: 'deal', id: 1 }, 'no such change'],
    [{ do: 'add', entity: 'deal', count: 0 }, 'count must be a whole number from 1 on'],
    [{ do: 'raise' }, 'raise needs the name of an event'],
  ])('%j is not possible, and nothing is done', async (change, text) => {
    const sandbox = await open()
    const { status, body } = await send(`${sandbox.url}/__sandbox/changes`, { body: JSON.stringify(change) })
    expect([status, body.error_description]).toEqual([400, text])
    expect((await ask(sandbox, 'crm.deal.get', { id: 120 })).body.result.TITLE).toBe('Deal 120')
    expect((await ask(sandbox, 'crm.deal.list')).body.total).toBe(120)
  })
})
