import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bench, BROKERS, openBench } from '../support/bridge.ts'

function addTask(title: string): Record<string, unknown> {
  return {
    method: 'tasks.task.add',
    api: 'v3',
    params: { fields: { title, creatorId: 1, responsibleId: 1 } },
  }
}

for (const broker of BROKERS) {
  describe.skipIf(broker.skip)(`commands for REST v3, ${broker.name}`, () => {
    let bench: Bench
    const written = (): unknown[] =>
      (bench.sandbox.stats(undefined, true).log ?? []).map(({ title }) => title)
    beforeAll(async () => {
      bench = await openBench({ broker: broker.kind, env: { BRIDGE_QUIET_PERIOD: '1' } })
    })
    afterAll(async () => {
      await bench.account()
      await bench[Symbol.asyncDispose]()
    })

    it('go there when they say so, and when only v3 knows the method', async () => {
      const added = await bench.ask(addTask('In the new version'))
      expect(added.body).toMatchObject({
        outcome: 'done',
        status_code: 200,
        result: { item: { id: expect.any(Number), title: 'In the new version' } },
      })
      const tail = await bench.ask({ method: 'main.eventlog.tail', params: { cursor: { limit: 1 } } })
      expect(tail.body.result.items).toMatchObject([{ id: 1, auditTypeId: 'USER_AUTHORIZE' }])
      const older = await bench.ask({
        method: 'tasks.task.get',
        params: { taskId: added.body.result.item.id },
      })
      expect(older.body.result.task.title).toBe('In the new version')
    })

    it('fail with the code that stands inside of the error', async () => {
      const { body } = await bench.ask({ method: 'tasks.task.get', api: 'v3', params: { id: 'seven' } })
      expect(body).toMatchObject({
        outcome: 'failed',
        error: { code: 'BITRIX_REST_V3_EXCEPTION_VALIDATION_REQUESTVALIDATIONEXCEPTION', retryable: false },
      })
    })

    it('repeat a write whose answer was lost under the same key, and it exists once', async () => {
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'tasks.task.add' } }])
      const { body } = await bench.ask(addTask('Answer lost'))
      expect(body).toMatchObject({ outcome: 'done', result: { item: { title: 'Answer lost' } } })
      expect(written().filter((title) => title === 'Answer lost')).toHaveLength(1)
    })

    it('are repeated by the next process when the first one ends before any answer', async () => {
      await bench.service.stop()
      const { BRIDGE_QUIET_PERIOD, ...env } = bench.env
      await bench.start({ ...env, BRIDGE_QUIET_PERIOD: '4' })
      bench.sandbox.fault([{ kind: 'reset-after', match: { method: 'tasks.task.add' }, times: 9 }])
      const id = await bench.send(addTask('Begun by another'))
      await expect.poll(() => written().at(-1)).toBe('Begun by another')
      await bench.service.stop()
      expect(bench.repliesTo(id)).toEqual([])
      bench.sandbox.fault([])
      await bench.start()
      expect((await bench.reply(id)).body).toMatchObject({
        outcome: 'done',
        result: { item: { title: 'Begun by another' } },
      })
      expect(written().filter((title) => title === 'Begun by another')).toHaveLength(1)
    }, 40_000)
  })
}
