import { describe, expect, it } from 'vitest'
import { openApplication } from './application.ts'
import { ask } from './ask.ts'
import { CLIENT_ID, callWith, newPair } from './oauth-client.ts'
import { openQueue } from './offline-queue.ts'

// https://apidocs.bitrix24.com/api-reference/events/offline-events.html
describe('the offline queue', () => {
  it('keeps one row for five changes of a deal, and moves its time', async () => {
    const { sandbox, call, change } = await openQueue()
    for (let i = 0; i < 5; i++) {
      await change(7)
      sandbox.advance(1000)
    }
    const { body } = await call('event.offline.list')
    expect(body.total).toBe(1)
    expect(body.result).toEqual([
      {
        ID: '1',
        TIMESTAMP_X: '2026-06-01T15:00:04+03:00',
        EVENT_NAME: 'ONCRMDEALUPDATE',
        EVENT_DATA: { FIELDS: { ID: 7 } },
        EVENT_ADDITIONAL: { user_id: '1' },
        MESSAGE_ID: expect.stringMatching(/^[0-9a-f]{32}$/),
        PROCESS_ID: '',
        ERROR: '0',
      },
    ])
    expect(sandbox.stats().offline).toMatchObject({ queued: 1, merged: 4 })
  })

  it.each([
    [28, '438d4ec3d329464c4bb9909db4c7a19b'],
    [27, '7bf367ea2e4c9b6a8c3adac4a416627c'],
  ])('names the update of lead %i %s, as portals do', async (id, messageId) => {
    const { sandbox, call, messages } = await openQueue()
    await call('event.bind', { event: 'ONCRMLEADUPDATE', event_type: 'offline' })
    await ask(sandbox, 'crm.lead.update', { id, fields: { TITLE: 'x' } })
    expect(await messages()).toEqual([messageId])
  })

  it('names data beyond ASCII as PHP writes it', async () => {
    const { sandbox, call, messages } = await openQueue()
    await call('event.bind', { event: 'ONUSERADD', event_type: 'offline' })
    await sandbox.changeData({ do: 'raise', event: 'ONUSERADD', data: { NAME: 'Zoë/7' } })
    // php -r 'echo md5("ONUSERADD|" . json_encode(["NAME" => "Zoë/7"]));'
    expect(await messages()).toEqual(['61fb2549513913293453317afe6ae49a'])
  })

  it('has three rows for an object that was added, changed and deleted', async () => {
    const { sandbox, call, ids } = await openQueue()
    for (const act of ['ADD', 'DELETE'])
      await call('event.bind', { event: `ONCRMDEAL${act}`, event_type: 'offline' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    await sandbox.changeData({ do: 'change', entity: 'deal', id: 121 })
    await sandbox.changeData({ do: 'delete', entity: 'deal', id: 121, userId: null })
    const { events } = (await call('event.offline.get')).body.result
    expect(events.map(({ EVENT_NAME: name }: { EVENT_NAME: string }) => name)).toEqual([
      'ONCRMDEALADD',
      'ONCRMDEALUPDATE',
      'ONCRMDEALDELETE',
    ])
    expect(events[2]).toMatchObject({ EVENT_DATA: { FIELDS: { ID: 121 } }, EVENT_ADDITIONAL: false })
    expect(await ids()).toEqual([])
  })

  it('gives rows out once and forgets them, unless told otherwise', async () => {
    const { sandbox, call, change } = await openQueue()
    await change(7)
    const first = (await call('event.offline.get')).body.result
    expect(first.process_id).toBe(null)
    expect(first.events).toMatchObject([{ ID: '1', EVENT_DATA: { FIELDS: { ID: 7 } } }])
    expect((await call('event.offline.get')).body.result).toEqual({ process_id: null, events: [] })
    expect(sandbox.stats().offline).toMatchObject({ cleared: 1, lost: 0 })
  })

  it('makes a new row for a change while the old one is reserved', async () => {
    const { sandbox, call, change, ids } = await openQueue()
    await change(7)
    const { process_id, events } = (await call('event.offline.get', { clear: 0 })).body.result
    expect(process_id).toMatch(/^[0-9a-z]{32}$/)
    expect((await call('event.offline.get', { clear: 0 })).body.result.events).toEqual([])
    await change(7)
    expect(await ids()).toEqual([1, 2])
    const message_id = [events[0].MESSAGE_ID]
    expect((await call('event.offline.clear', { process_id, message_id })).body.result).toBe(true)
    expect(await ids()).toEqual([2])
    expect(sandbox.stats().offline).toMatchObject({ queued: 2, cleared: 1, lost: 0 })
  })

  it('gives a reserved batch out again to who names its process', async () => {
    const { call, change, ids } = await openQueue()
    for (const id of [7, 8, 9]) await change(id)
    const { process_id } = (await call('event.offline.get', { clear: 0, limit: 2 })).body.result
    const again = (await call('event.offline.get', { clear: 0, process_id })).body.result
    expect(again.process_id).toBe(process_id)
    expect(again.events.map(({ ID }: { ID: string }) => ID)).toEqual(['1', '2'])
    expect((await call('event.offline.get', { clear: 0, process_id: 'x' })).body.result.events).toEqual([])
    const orphans = await call('event.offline.list', { filter: { '>PROCESS_ID': '' } })
    expect(orphans.body.result).toMatchObject([{ PROCESS_ID: process_id }, { PROCESS_ID: process_id }])
    await call('event.offline.clear', { process_id, id: ['2'] })
    expect(await ids()).toEqual([1, 3])
    await call('event.offline.clear', { process_id })
    expect(await ids()).toEqual([3])
  })

  it('gives a process id even when nothing waits', async () => {
    const { call } = await openQueue()
    const { process_id, events } = (await call('event.offline.get', { clear: 0 })).body.result
    expect([typeof process_id, events]).toEqual(['string', []])
  })

  it('hides a message that failed, and its repeats, until errors are asked for', async () => {
    const { call, change, ids } = await openQueue()
    await change(7)
    const { process_id, events } = (await call('event.offline.get', { clear: 0 })).body.result
    await change(7)
    const message_id = [events[0].MESSAGE_ID]
    await call('event.offline.error', { process_id, message_id })
    await change(7)
    expect(await ids()).toEqual([1])
    expect((await call('event.offline.list')).body.result).toMatchObject([{ ERROR: '1', PROCESS_ID: '' }])
    await call('event.offline.clear', { process_id })
    expect((await call('event.offline.get')).body.result.events).toEqual([])
    expect((await call('event.offline.get', { error: 1 })).body.result.events).toMatchObject([{ ID: '1' }])
    await change(7)
    expect((await call('event.offline.get')).body.result.events).toMatchObject([{ ID: '3' }])
  })

  it('takes a newer copy away from another process when the older one fails', async () => {
    const { sandbox, call, change, ids } = await openQueue()
    await change(7)
    const first = (await call('event.offline.get', { clear: 0 })).body.result
    await change(7)
    const second = (await call('event.offline.get', { clear: 0 })).body.result
    expect(second.events).toMatchObject([{ ID: '2' }])
    const message_id = [first.events[0].MESSAGE_ID]
    await call('event.offline.error', { process_id: first.process_id, message_id })
    expect(await ids()).toEqual([1])
    const late = await call('event.offline.clear', { process_id: second.process_id, message_id })
    expect(late.body.result).toBe(true)
    expect(await ids()).toEqual([1])
    expect(sandbox.stats().offline.queued).toBe(2)
  })

  it('finds and orders rows as told', async () => {
    const { sandbox, call, change } = await openQueue()
    for (const id of [5, 6, 7]) {
      await change(id)
      sandbox.advance(1000)
    }
    await change(5)
    const idsOf = async (params: object) => {
      const { events } = (await call('event.offline.get', { clear: 0, ...params })).body.result
      return events.map(({ ID }: { ID: string }) => Number(ID))
    }
    const listed = async (params: object) =>
      (await call('event.offline.list', params)).body.result.map(({ ID }: { ID: string }) => Number(ID))
    expect(await listed({})).toEqual([1, 2, 3])
    expect(await listed({ order: { timestamp_x: 'asc' } })).toEqual([2, 3, 1])
    expect(await listed({ order: { ID: 'DESC' }, filter: { '<=id': 2 } })).toEqual([2, 1])
    expect(await listed({ filter: { '>TIMESTAMP_X': '2026-06-01T12:00:01Z' } })).toEqual([1, 3])
    expect(await listed({ filter: { '@ID': [1, 3], '%EVENT_NAME': 'deal' } })).toEqual([1, 3])
    expect(await idsOf({ limit: 1 })).toEqual([2])
    expect(await idsOf({ order: { ID: 'ASC' }, limit: 1 })).toEqual([1])
    expect(await idsOf({ filter: { MESSAGE_ID: 'x' } })).toEqual([])
  })

  it('lists in pages of fifty', async () => {
    const { sandbox, call } = await openQueue()
    await sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: 60 })
    const first = (await call('event.offline.list')).body
    expect([first.result.length, first.total, first.next]).toEqual([50, 60, 50])
    const second = (await call('event.offline.list', { start: first.next })).body
    expect([second.result.length, second.total, second.next]).toEqual([10, 60, undefined])
  })

  it.each([
    ['all', 1],
    ['reserved', 2],
  ] as const)('with ageing of %s keeps %i of its rows for more than 34 days', async (offlineAgeing, left) => {
    const { sandbox, call, change, ids } = await openQueue({ switches: { offlineAgeing } })
    await change(7)
    await call('event.offline.get', { clear: 0 })
    await change(8)
    sandbox.advance(2_952_000_001)
    const token = (await newPair(sandbox)).access
    await change(9)
    expect(await ids(token)).toHaveLength(left)
    expect(sandbox.stats().offline.aged).toBe(3 - left)
  })

  it('goes with its application', async () => {
    const { sandbox, change } = await openQueue()
    await change(7)
    await sandbox.app({ do: 'uninstall', clientId: CLIENT_ID })
    await change(7)
    expect(sandbox.stats().offline).toMatchObject({ queued: 1, uninstalled: 1 })
  })

  it('gets nothing while the application is not installed to its end', async () => {
    const { sandbox, app } = await openApplication()
    sandbox.addApplication({ clientId: 'app.new', url: `${app.url}app`, installUrl: `${app.url}install` })
    const { form } = await sandbox.app({ do: 'install', clientId: 'app.new' })
    const token = form?.fields.AUTH_ID ?? ''
    await callWith(sandbox, token, 'event.bind', { event: 'ONCRMDEALADD', event_type: 'offline' })
    await sandbox.changeData({ do: 'add', entity: 'deal' })
    expect((await callWith(sandbox, token, 'event.offline.list')).body.total).toBe(0)
  })
})

describe('a change that the application made itself', () => {
  it.each([
    ['dropped', '', '', 0],
    ['queued', '', '', 1],
    ['dropped', 'stock', 'stock', 0],
    ['queued', 'stock', 'stock', 0],
    ['dropped', 'stock', '', 1],
    ['dropped', '', 'stock', 1],
    ['dropped', 'stock', 'shop', 1],
  ] as const)('with own changes %s, under "%s", seen by "%s": %i rows', async (own, under, by, rows) => {
    const { call } = await openApplication({ switches: { ownOfflineChanges: own } })
    const as = (connector: string) => (connector === '' ? {} : { auth_connector: connector })
    await call('event.bind', { event: 'ONCRMDEALUPDATE', event_type: 'offline', ...as(by) })
    await call('crm.deal.update', { id: 7, fields: { TITLE: 'x' }, ...as(under) })
    expect((await call('event.offline.list', as(by))).body.total).toBe(rows)
  })

  it('takes its connector from the request, not from a command of a batch', async () => {
    for (const [connectorInBatch, rows] of [
      ['ignored', 1],
      ['followed', 0],
    ] as const) {
      const { call } = await openApplication({ switches: { connectorInBatch } })
      const stock = { auth_connector: 'stock' }
      await call('event.bind', { event: 'ONCRMDEALUPDATE', event_type: 'offline', ...stock })
      await call('batch', { cmd: ['crm.deal.update?id=7&fields[TITLE]=x&auth_connector=stock'] })
      expect((await call('event.offline.list', stock)).body.total).toBe(rows)
    }
  })
})

describe('connectors of an application', () => {
  it('have queues of their own', async () => {
    const { call, change, ids } = await openQueue()
    await call('event.bind', { event: 'ONCRMDEALUPDATE', event_type: 'offline', auth_connector: 'stock' })
    await change(7)
    const stock = (await call('event.offline.get', { auth_connector: 'stock' })).body.result
    expect(stock.events).toHaveLength(1)
    expect((await call('event.offline.get', { auth_connector: 'shop' })).body.result.events).toEqual([])
    expect(await ids()).toHaveLength(1)
    expect((await call('event.get')).body.result).toMatchObject([
      { connector_id: '', offline: 1 },
      { connector_id: 'stock', offline: 1 },
    ])
    const unbind = { event: 'ONCRMDEALUPDATE', event_type: 'offline', auth_connector: 'stock' }
    expect((await call('event.unbind', unbind)).body.result).toEqual({ count: 1 })
  })
})
