import { describe, expect, it } from 'vitest'
import { openApplication } from './application.ts'
import { ask } from './ask.ts'

const OFFLINE = { event_type: 'offline' }

/** A bench whose application has an offline handler for changed deals. */
async function openQueue(options: Parameters<typeof openApplication>[0] = {}) {
  const bench = await openApplication(options)
  await bench.call('event.bind', { event: 'onCrmDealUpdate', ...OFFLINE })
  /** Changes a deal through a webhook, which is no change of the application's own. */
  const change = (id: number) => ask(bench.sandbox, 'crm.deal.update', { id, fields: { TITLE: `${id}` } })
  return { ...bench, change }
}

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
    const { sandbox, call } = await openQueue()
    await call('event.bind', { event: 'ONCRMLEADUPDATE', ...OFFLINE })
    await ask(sandbox, 'crm.lead.update', { id, fields: { TITLE: 'x' } })
    expect((await call('event.offline.get')).body.result.events[0].MESSAGE_ID).toBe(messageId)
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
})
