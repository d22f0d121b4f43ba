import { describe, expect, it } from 'vitest'
import { eventsOf } from './application.ts'
import { callWith, refresh } from './oauth-client.ts'
import { openQueue } from './offline-queue.ts'

/** A queue whose application is told when something arrives there. */
async function openNudged(options: object = {}, more: Parameters<typeof openQueue>[0] = {}) {
  const bench = await openQueue(more)
  const handler = `${bench.app.url}nudge`
  await bench.call('event.bind', { event: 'ONOFFLINEEVENT', handler, ...options })
  return bench
}

const change = (id: number, more = {}) => ({ do: 'change', entity: 'deal', id, ...more }) as const

// https://apidocs.bitrix24.com/api-reference/events/on-offline-event.html
describe('ONOFFLINEEVENT', () => {
  it('comes without data, with tokens that can be renewed', async () => {
    const { sandbox, app } = await openNudged()
    await sandbox.changeData(change(7))
    expect(app.received).toHaveLength(1)
    const { form } = app.received[0]!
    expect(Object.keys(form)).toEqual(['event', 'event_handler_id', 'ts', 'auth'])
    expect((await refresh(sandbox, form.auth.refresh_token)).status).toBe(200)
  })

  it('comes once in its time, and nothing follows when that is over', async () => {
    const bench = await openNudged({ options: { minTimeout: 5 } })
    const { sandbox, call } = bench
    for (let id = 1; id <= 10; id++) {
      await sandbox.changeData(change(id))
      sandbox.advance(100)
    }
    expect(eventsOf(bench)).toEqual(['ONOFFLINEEVENT'])
    expect((await call('event.offline.get')).body.result.events).toHaveLength(10)
    sandbox.advance(4000)
    expect(bench.app.received).toHaveLength(1)
    await sandbox.changeData(change(11))
    expect(bench.app.received).toHaveLength(2)
  })

  it('has one second when nothing else was asked for', async () => {
    const { sandbox, app } = await openNudged()
    await sandbox.changeData(change(1, { count: 3 }))
    expect(app.received).toHaveLength(1)
    sandbox.advance(1000)
    await sandbox.changeData(change(4))
    expect(app.received).toHaveLength(2)
  })

  it('comes with every request when no time is wanted', async () => {
    const { sandbox, app } = await openNudged({ options: { minTimeout: 0 } })
    await sandbox.changeData(change(1, { count: 3 }))
    expect(app.received).toHaveLength(3)
    await sandbox.changeData(change(11, { count: 3, oneHit: true }))
    expect(app.received).toHaveLength(4)
  })

  it.each([
    ['new-rows', 1],
    ['every-change', 2],
  ] as const)(
    'with nudges for %s comes %i times when a waiting row is changed again',
    async (kind, times) => {
      const { sandbox, app } = await openNudged({}, { switches: { offlineNudges: kind } })
      await sandbox.changeData(change(7))
      sandbox.advance(60_000)
      await sandbox.changeData(change(7))
      expect(app.received).toHaveLength(times)
    },
  )

  it('is for the application whose queue it was', async () => {
    const { sandbox, app, call } = await openNudged()
    const own = { event: 'ONOFFLINEEVENT', handler: `${app.url}other` }
    await callWith(sandbox, sandbox.accessToken, 'event.bind', own)
    await sandbox.changeData(change(7))
    expect(app.received.map(({ url }) => url.pathname)).toEqual(['/nudge'])
    await call('event.offline.get')
  })

  it('cannot be queued itself', async () => {
    const { call } = await openNudged()
    const { status, body } = await call('event.bind', { event: 'ONOFFLINEEVENT', event_type: 'offline' })
    expect([status, body.error, body.error_description]).toEqual([
      400,
      'ERROR_ARGUMENT',
      'Offline event cannot be registered for this event.',
    ])
  })
})
