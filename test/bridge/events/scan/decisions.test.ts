import { describe, expect, it } from 'vitest'
import { arrivalsOf, scanEntity } from '../../../../src/bridge/events/scan/entities.ts'
import { changedOf, missed, windowOf } from '../../../../src/bridge/events/scan/window.ts'
import type { PortalEvent } from '../../../../src/model/event.ts'

const T = Date.UTC(2026, 0, 1)
const SECOND = 1000
const MINUTE = 60 * SECOND

describe('the window of a look', () => {
  it('goes from a little before what was looked at, up to what is old enough', () => {
    const progress = { since: T - 9 * MINUTE, at: T }
    expect(windowOf(progress, T + 15 * MINUTE, MINUTE)).toEqual({
      from: T - 2 * MINUTE,
      until: T + 14 * MINUTE,
    })
    expect(windowOf({ since: T, at: T }, T + 15 * MINUTE, MINUTE)?.from).toBe(T)
    expect(windowOf(progress, T + MINUTE, MINUTE)).toBeUndefined()
  })

  it('of a walk that was interrupted stays what it was', () => {
    const walk = { until: T + 5 * MINUTE, after: '70' }
    expect(windowOf({ since: T, at: T, walk }, T + 60 * MINUTE, MINUTE)).toEqual({ from: T, ...walk })
  })
})

describe('what nobody told of', () => {
  const window = { from: T, until: T + 10 * MINUTE }
  const old = { id: '7', createdAt: T - 60 * MINUTE, changedAt: T + MINUTE }
  const fresh = { id: '8', createdAt: T + MINUTE, changedAt: T + MINUTE }
  const told = (act: 'add' | 'change', happenedAt: number) => ({ act, happenedAt })

  it.each([
    ['an old object without any event', old, [], 'UPDATE'],
    ['whose last change has its event', old, [told('change', T + MINUTE)], undefined],
    ['whose event came later, for a later change', old, [told('change', T + 2 * MINUTE)], undefined],
    ['whose event is older than the last change', old, [told('change', T + MINUTE - SECOND)], 'UPDATE'],
    ['a new object without any event', fresh, [], 'ADD'],
    ['a new object that was told of', fresh, [told('add', T + MINUTE)], undefined],
    ['a new object of which only a change was told', fresh, [told('change', T + MINUTE)], 'ADD'],
    [
      'a new object that was changed again',
      { ...fresh, changedAt: T + 2 * MINUTE },
      [told('add', T + MINUTE)],
      'UPDATE',
    ],
    ['changed after the window', { ...old, changedAt: T + 11 * MINUTE }, [], undefined],
    ['changed before the window', { ...old, changedAt: T - SECOND }, [], undefined],
  ])('%s', (_, changed, arrivals, act) => {
    expect(missed(changed, arrivals, window)).toBe(act)
  })
})

describe('entities', () => {
  it('are known by name, and smart processes by their type', () => {
    expect(scanEntity('crm.deal')).toMatchObject({ method: 'crm.deal.list', event: 'ONCRMDEAL' })
    const item = scanEntity('crm.item:128')
    expect(item).toMatchObject({ params: { entityTypeId: 128 }, event: 'ONCRMDYNAMICITEM' })
    expect(item?.data('7', 'ADD')).toEqual({ FIELDS: { ID: '7', ENTITY_TYPE_ID: '128' } })
    expect(scanEntity('crm.item:2')?.event).toBe('ONCRMDEAL')
    expect(scanEntity('crm.currency')).toBeUndefined()
  })

  it('read their rows, and leave out those that say nothing', () => {
    const deal = scanEntity('crm.deal')!
    const row = {
      ID: '7',
      DATE_CREATE: '2026-01-01T03:00:00+03:00',
      DATE_MODIFY: '2026-01-01T03:00:05+03:00',
    }
    expect(changedOf(deal, row)).toEqual({ id: '7', createdAt: T, changedAt: T + 5 * SECOND })
    expect(changedOf(deal, { ID: '7' })).toBeUndefined()
  })

  it.each([
    ['ONCRMDEALUPDATE', { FIELDS: { ID: '7' } }, ['crm.deal/7/change', 'crm.item:2/7/change']],
    ['ONCRMLEADADD', { FIELDS: { ID: 7 } }, ['crm.lead/7/add', 'crm.item:1/7/add']],
    ['ONCRMDYNAMICITEMUPDATE_128', { FIELDS: { ID: '7', ENTITY_TYPE_ID: '128' } }, ['crm.item:128/7/change']],
    ['ONTASKADD', { FIELDS_BEFORE: 'undefined', FIELDS_AFTER: { ID: '7' } }, ['tasks.task/7/add']],
    ['ONCRMDEALDELETE', { FIELDS: { ID: '7' } }, []],
    ['ONCRMDEALUSERFIELDADD', { FIELDS: { ID: '7', ENTITY_ID: 'CRM_DEAL' } }, []],
    ['ONCRMDEALUPDATE', {}, []],
  ])('%s tells of its object', (event, data, told) => {
    const arrived: PortalEvent = {
      kind: 'event',
      memberId: 'm',
      domain: 'd',
      event,
      data,
      happenedAt: T,
      receivedAt: T,
      key: 'k',
    }
    const names = arrivalsOf(arrived).map(({ entity, objectId, act }) => `${entity}/${objectId}/${act}`)
    expect(names).toEqual(told)
    const { happenedAt: _, ...timeless } = arrived
    expect(arrivalsOf(timeless)).toEqual([])
  })
})
