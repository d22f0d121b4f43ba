import { randomUUID } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { requestHash } from '../../src/bridge/commands/ledger.ts'
import { openStore } from '../../src/stores/open.ts'
import { markStarted } from '../../src/stores/queries/ledger.ts'
import { eventually } from '../conformance/broker.ts'
import { ADMIN_TOKEN, addDeal, type Bench, BROKERS, openBench } from '../support/bridge.ts'

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`commands over HTTP ${name}`, () => {
    async function open(): Promise<Bench> {
      const bench = await openBench({ broker: kind })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      return bench
    }

    async function post(bench: Bench, body: unknown, headers: Record<string, string> = {}) {
      const response = await fetch(`${bench.service.url}/v1/commands`, {
        method: 'POST',
        body: JSON.stringify(body),
        headers: {
          authorization: `Bearer ${ADMIN_TOKEN}`,
          'content-type': 'application/json',
          ...headers,
        },
      })
      // biome-ignore lint/suspicious/noExplicitAny: tests reach into any answer
      return { status: response.status, headers: response.headers, body: (await response.json()) as any }
    }

    async function look(bench: Bench, id: string) {
      const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
      const response = await fetch(`${bench.service.url}/v1/commands/${id}`, { headers })
      // biome-ignore lint/suspicious/noExplicitAny: tests reach into any answer
      return { status: response.status, body: (await response.json()) as any }
    }

    it('are answered with their reply, bad ones with a reason, and strangers not at all', async () => {
      const bench = await open()
      const done = await post(bench, { method: 'crm.deal.get', params: { id: 7 }, meta: { n: 1 } })
      expect(done).toMatchObject({
        status: 200,
        body: { outcome: 'done', result: { ID: '7' }, meta: { n: 1 } },
      })
      expect(done.headers.get('x-b24-outcome')).toBe('done')
      expect((await post(bench, { method: 'crm deal' })).status).toBe(400)
      expect((await post(bench, { method: 'crm.kettle.boil' })).body).toMatchObject({ outcome: 'failed' })
      expect((await post(bench, {}, { authorization: 'Bearer no' })).status).toBe(401)
      await bench.account()
    })

    it('share a request with commands from the queue', async () => {
      const bench = await open()
      bench.sandbox.change({ latencyMs: 40 })
      await Promise.all(
        Array.from({ length: 30 }, (_, i) => post(bench, { method: 'crm.deal.get', params: { id: i + 1 } })),
      )
      expect(bench.sandbox.stats().requests).toBeLessThan(15)
    })

    it('with a key are carried out once, at the same moment and later', async () => {
      const bench = await open()
      const headers = { 'idempotency-key': randomUUID() }
      const answers = await Promise.all([1, 2, 3].map(() => post(bench, addDeal('keyed'), headers)))
      answers.push(await post(bench, addDeal('keyed'), headers))
      expect(new Set(answers.map(({ body }) => body.result)).size).toBe(1)
      expect(bench.sandbox.stats().writes).toBe(1)
      const other = await post(bench, addDeal('another'), headers)
      expect(other).toMatchObject({ status: 422, body: { error: 'MESSAGE_ID_REUSED' } })
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('with a key are carried out once, whether they are waited for or not', async () => {
      const bench = await open()
      bench.sandbox.change({ latencyMs: 150 })
      const waits = (key: string, title: string) => post(bench, addDeal(title), { 'idempotency-key': key })
      const queues = (key: string, title: string) =>
        post(bench, addDeal(title), { 'idempotency-key': key, prefer: 'respond-async' })
      const result = async (key: string) => {
        let found: Awaited<ReturnType<typeof look>> | undefined
        await eventually(async () => {
          found = await look(bench, key)
          expect(found).toMatchObject({ status: 200, body: { outcome: 'done' } })
        })
        return found?.body.result
      }
      const first = await waits('waits-first', 'waits first')
      expect((await queues('waits-first', 'waits first')).status).toBe(202)
      await eventually(() => expect(bench.repliesTo('waits-first')).toHaveLength(1))
      expect(bench.repliesTo('waits-first')[0]?.body.result).toBe(first.body.result)

      await queues('queued-first', 'queued first')
      const queued = await result('queued-first')
      expect((await waits('queued-first', 'queued first')).body.result).toBe(queued)

      const [both] = await Promise.all([waits('both', 'both'), queues('both', 'both')])
      await eventually(() => expect(bench.repliesTo('both')).toHaveLength(1))
      expect(bench.repliesTo('both')[0]?.body).toMatchObject({ outcome: 'done', result: both.body.result })
      expect(bench.sandbox.stats().writes).toBe(3)
    })

    it('whose sender died before they were on the queue are put there when the caller asks again', async () => {
      const bench = await open()
      const store = await openStore(bench.env.BRIDGE_STORE as string, { now: Date.now, exclusive: false })
      onTestFinished(() => store.close())
      const key = randomUUID()
      const body = addDeal('begun and not queued')
      const message = { body: Buffer.from(JSON.stringify(body)), headers: {} }
      await markStarted(store.db, [
        { key: `http ${key}`, requestHash: requestHash(message), startedAt: Date.now(), claim: 'gone' },
      ])
      expect(await look(bench, key)).toMatchObject({ status: 202 })
      const headers = { 'idempotency-key': key, prefer: 'respond-async' }
      const answers = await Promise.all([1, 2].map(() => post(bench, body, headers)))
      expect(answers.map(({ status }) => status)).toEqual([202, 202])
      await eventually(async () =>
        expect(await look(bench, key)).toMatchObject({ status: 200, body: { outcome: 'done' } }),
      )
      expect((await post(bench, addDeal('another'), headers)).body).toMatchObject({
        error: 'MESSAGE_ID_REUSED',
      })
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('that have ended are answered also where their reply could not be kept for the asker', async () => {
      const bench = await open()
      const key = randomUUID()
      const headers = { 'idempotency-key': key, prefer: 'respond-async' }
      await post(bench, addDeal('kept'), headers)
      await eventually(async () => expect(await look(bench, key)).toMatchObject({ status: 200 }))
      await bench.service.stop()
      // As if the process had died between the two pages: the command's own says how it ended, the asker's does not.
      const store = await openStore(bench.env.BRIDGE_STORE as string, { now: Date.now, exclusive: false })
      onTestFinished(() => store.close())
      await store.db
        .updateTable('ledger')
        .set({ state: 'started', reply: null, finished_at: null })
        .where('key', '=', `http ${key}`)
        .execute()
      await bench.start()
      expect((await post(bench, addDeal('kept'), headers)).status).toBe(202)
      await eventually(async () =>
        expect(await look(bench, key)).toMatchObject({ status: 200, body: { outcome: 'done' } }),
      )
      expect(bench.sandbox.stats().writes).toBe(1)
    })

    it('that are not waited for go by the queue, and their reply is there when asked for, over a restart too', async () => {
      const bench = await open()
      const accepted = await post(bench, addDeal('later'), { prefer: 'respond-async' })
      expect(accepted.status).toBe(202)
      const { id } = accepted.body
      await eventually(async () => {
        expect(await look(bench, id)).toMatchObject({ status: 200, body: { outcome: 'done' } })
      })
      await bench.service.stop()
      await bench.start()
      expect(await look(bench, id)).toMatchObject({ status: 200, body: { outcome: 'done' } })
      expect((await look(bench, randomUUID())).status).toBe(404)
      expect(bench.sandbox.stats().writes).toBe(1)
      expect(bench.logs()).not.toContain('s3cr3t')
    })
  })
}
