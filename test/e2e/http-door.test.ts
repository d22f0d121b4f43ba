import { randomUUID } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
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
      expect(JSON.stringify(other.body)).toContain('MESSAGE_ID_REUSED')
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
