import { describe, expect, it } from 'vitest'
import { openApplication, tokenOf } from './application.ts'
import { ask } from './ask.ts'
import { callWith } from './oauth-client.ts'
import { openQueue, type QueueBench } from './offline-queue.ts'

const counts = ({ sandbox }: QueueBench) => {
  const { queued, cleared, lost } = sandbox.stats().offline
  return { queued, cleared, lost }
}

/** Queues rows for some deals and reserves them. */
async function openBatch(size: number): Promise<QueueBench & { readonly process_id: string }> {
  const bench = await openQueue()
  await bench.sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: size })
  const { body } = await bench.call('event.offline.get', { clear: 0, limit: size })
  expect(body.result.events).toHaveLength(size)
  return { ...bench, process_id: body.result.process_id }
}

// https://apidocs.bitrix24.com/api-reference/events/event-offline-get.html
describe('event.offline.get loses events', () => {
  it('when its answer does not arrive', async () => {
    const bench = await openQueue()
    await bench.change(7)
    bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'event.offline.get' } }])
    await expect(bench.call('event.offline.get')).rejects.toThrow()
    expect(await bench.ids()).toEqual([])
    expect(counts(bench)).toEqual({ queued: 1, cleared: 0, lost: 1 })
  })

  it('when whoever asked has gone before the answer', async () => {
    const bench = await openQueue()
    await bench.change(7)
    bench.sandbox.change({ latencyMs: 60_000 })
    const giveUp = new AbortController()
    const asked = fetch(`${bench.sandbox.url}/rest/event.offline.get?auth=${bench.token}`, giveUp)
    await expect.poll(() => bench.sandbox.stats().commands['event.offline.get']).toBe(1)
    giveUp.abort()
    await expect(asked).rejects.toThrow()
    await expect.poll(() => counts(bench)).toEqual({ queued: 1, cleared: 0, lost: 1 })
  })

  it('not when a list has shown them before', async () => {
    const bench = await openQueue()
    for (const id of [7, 8]) await bench.change(id)
    expect(await bench.ids()).toEqual([1, 2])
    await bench.change(8)
    bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'event.offline.get' } }])
    await expect(bench.call('event.offline.get')).rejects.toThrow()
    expect(counts(bench)).toEqual({ queued: 2, cleared: 1, lost: 1 })
  })

  it('not when it only reserves: the batch is found in the list', async () => {
    const bench = await openQueue()
    await bench.change(7)
    bench.sandbox.fault([{ kind: 'truncate', match: { method: 'event.offline.get' } }])
    expect((await bench.call('event.offline.get', { clear: 0 })).body).toBe(undefined)
    const [row] = (await bench.call('event.offline.list')).body.result
    expect(row.PROCESS_ID).not.toBe('')
    const again = { clear: 0, process_id: row.PROCESS_ID }
    expect((await bench.call('event.offline.get', again)).body.result.events).toHaveLength(1)
    await bench.call('event.offline.clear', { process_id: row.PROCESS_ID })
    expect(counts(bench)).toEqual({ queued: 1, cleared: 1, lost: 0 })
  })

  it('when the process id is an empty text: all free rows go, failed ones too', async () => {
    const bench = await openQueue()
    await bench.sandbox.changeData({ do: 'change', entity: 'deal', id: 1, count: 60 })
    const first = (await bench.call('event.offline.get', { clear: 0, limit: 1 })).body.result
    const message_id = [first.events[0].MESSAGE_ID]
    await bench.call('event.offline.error', { process_id: first.process_id, message_id })
    const { body } = await bench.call('event.offline.get', { process_id: '', limit: 10 })
    expect([body.result.process_id, body.result.events.length]).toEqual(['', 10])
    expect(await bench.ids()).toEqual([])
    expect(counts(bench)).toEqual({ queued: 60, cleared: 11, lost: 49 })
  })

  it('when a batch is read again with clearing: its limit is for the answer only', async () => {
    const bench = await openBatch(80)
    const { body } = await bench.call('event.offline.get', { process_id: bench.process_id })
    expect(body.result).toMatchObject({ process_id: bench.process_id })
    expect(body.result.events).toHaveLength(50)
    expect(await bench.ids()).toEqual([])
  })
})

// https://apidocs.bitrix24.com/api-reference/events/event-offline-clear.html
describe('event.offline.clear', () => {
  it.each([
    ['an empty list of messages', { message_id: [] }],
    ['an empty list of ids', { id: [] }],
    ['no list', {}],
  ])('with %s clears the whole batch', async (_, list) => {
    const { call, ids, process_id, change } = await openBatch(3)
    await change(50)
    expect((await call('event.offline.clear', { process_id, ...list })).body.result).toBe(true)
    expect(await ids()).toEqual([4])
  })

  it('looks at messages when it is given ids too', async () => {
    const { call, ids, messages, process_id } = await openBatch(3)
    const [message] = await messages()
    await call('event.offline.clear', { process_id, id: ['2', '3'], message_id: [message] })
    expect(await ids()).toEqual([2, 3])
  })

  it('with an empty process id clears what nobody has seen', async () => {
    const bench = await openQueue()
    await bench.change(7)
    await bench.call('event.offline.clear', { process_id: '' })
    expect(counts(bench)).toEqual({ queued: 1, cleared: 0, lost: 1 })
  })
})

describe('a call about offline events', () => {
  const ARGUMENT = { status: 400, error: 'ERROR_ARGUMENT' }

  it.each([
    ['get', { limit: 0 }, 'Value must be positive integer', 'LIMIT'],
    ['get', { filter: { '!=ID': 1 } }, 'Filter operation not allowed: !=', 'FILTER'],
    ['get', { filter: { PROCESS_ID: 'x' } }, 'Filter field not allowed: PROCESS_ID', 'FILTER'],
    ['get', { filter: 'x' }, 'The filter is not an array.', 'FILTER'],
    ['get', { filter: { '@ID': [1] } }, 'Filter value must be a scalar.', 'FILTER'],
    ['get', { order: { ERROR: 'ASC' } }, 'Order field not allowed: ERROR', 'ORDER'],
    ['get', { order: { ID: 'up' } }, 'Order direction should be one of {ASC|DESC}', 'ORDER'],
    ['clear', {}, "Argument 'PROCESS_ID' is null or empty", 'PROCESS_ID'],
    ['clear', { process_id: 'x', message_id: 'x' }, 'Value must be array of MESSAGE_ID values', 'MESSAGE_ID'],
    [
      'clear',
      { process_id: 'x', message_id: ['x'] },
      'Value must be array of MESSAGE_ID values',
      'MESSAGE_ID',
    ],
    ['clear', { process_id: 'x', id: ['x'] }, 'Value must be array of integers', 'ID'],
    ['error', { process_id: 'x' }, 'Value must be array of MESSAGE_ID values', 'MESSAGE_ID'],
  ])('event.offline.%s is refused with %j: %s', async (method, params, description, argument) => {
    const { call } = await openQueue()
    const { status, body } = await call(`event.offline.${method}`, params)
    expect({ status, error: body.error }).toEqual(ARGUMENT)
    expect([body.error_description, body.argument]).toEqual([description, argument])
  })

  it('is for applications and their administrators', async () => {
    const bench = await openApplication()
    const webhook = await ask(bench.sandbox, 'event.offline.get')
    expect([webhook.status, webhook.body.error]).toEqual([403, 'WRONG_AUTH_TYPE'])
    const user = await tokenOf(bench, 2)
    for (const method of ['get', 'list', 'clear', 'error']) {
      const { status, body } = await callWith(bench.sandbox, user, `event.offline.${method}`)
      expect([status, body.error]).toEqual([403, 'ACCESS_DENIED'])
    }
  })

  it('that reserves needs a plan with extended handling', async () => {
    const { sandbox, call } = await openQueue()
    const value = async () => (await call('feature.get', { CODE: 'rest_offline_extended' })).body.result.value
    expect(await value()).toBe('Y')
    sandbox.change({ features: { rest_offline_extended: false } })
    expect(await value()).toBe('N')
    const refused = await call('event.offline.get', { clear: 0 })
    expect([refused.status, refused.body]).toEqual([
      403,
      {
        error: 'WRONG_LICENSE',
        error_description:
          'This feature is not enabled for the current license: extended offline events handling',
      },
    ])
    expect((await call('event.offline.get')).status).toBe(200)
  })

  it('under a connector, as any call under one, needs a plan with connectors', async () => {
    const { sandbox, call } = await openQueue()
    sandbox.change({ features: { rest_auth_connector: false } })
    for (const method of ['event.offline.get', 'crm.deal.get']) {
      const { status, body } = await call(method, { id: 7, auth_connector: 'stock' })
      expect([status, body.error]).toEqual([403, 'WRONG_LICENSE'])
    }
    expect((await ask(sandbox, 'crm.deal.get', { id: 7, auth_connector: 'stock' })).status).toBe(200)
  })
})

describe('auth_connector', () => {
  it('is no parameter that methods see, also of methods that go by position', async () => {
    const { call } = await openApplication()
    const { body } = await call('sandbox.echo', { a: 1, auth_connector: 'stock' })
    expect(body.result).toEqual({ a: 1 })
    const comment = { 0: 9, 1: { POST_MESSAGE: 'x' }, auth_connector: 'stock' }
    expect((await call('task.commentitem.add', comment)).body.result).toBe(1)
  })
})
