import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { addDeal, type Bench, type BenchOptions, BROKERS, openBench } from '../support/bridge.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'

const ids = (count: number) => Array.from({ length: count }, (_, i) => i)

describe.skipIf(amqpUrl === undefined)(`a bridge whose connection to RabbitMQ breaks${amqpNote}`, () => {
  async function open(more: Partial<BenchOptions> = {}): Promise<{ bench: Bench; proxy: BadProxy }> {
    const proxy = await BadProxy.open(amqpUrl!)
    const bench = await openBench({ broker: 'amqp', brokerUrl: proxy.url, ...more })
    onTestFinished(async () => {
      await bench[Symbol.asyncDispose]()
      await proxy.close()
    })
    return { bench, proxy }
  }

  it('answers every command once when it is cut while commands are in flight, without ids too', async () => {
    const { bench, proxy } = await open({ sandbox: { latencyMs: 30 }, env: { BRIDGE_MAX_IN_FLIGHT: '2' } })
    const sent: string[] = []
    for (const i of ids(600)) {
      if (i % 150 === 149) {
        proxy.reset()
        await sleep(40) // In the middle of the reconnection, and again in the middle of the work.
      }
      sent.push(await bench.send(addDeal(`cut ${i}`)))
    }
    for (const id of sent) expect((await bench.reply(id, 20_000)).body.outcome).toBe('done')
    expect(bench.sandbox.stats().writes).toBe(600)
    // A reply whose confirmation was cut off may come twice; nothing else may.
    await bench.account({ twice: true })
    for (const id of sent) expect(new Set(bench.repliesTo(id).map(({ body }) => body.result)).size).toBe(1)
    await eventually(() => expect(bench.service.inHand()).toBe(0))
  })

  it('does not run a write without an id twice, although it is handed out again and again', async () => {
    const { bench, proxy } = await open({ sandbox: { latencyMs: 1500 } })
    const body = Buffer.from(JSON.stringify(addDeal('no id', { meta: randomUUID() })))
    await bench.tool.publish({ exchange: '', routingKey: bench.commandQueue }, { body, headers: {} })
    await eventually(() => expect(bench.sandbox.stats().requests).toBe(1))
    for (const round of [1, 2]) {
      proxy.reset()
      // The same delivery must come again before it is cut off once more.
      await eventually(async () => {
        expect(await bench.tool.queueInfo(bench.commandQueue)).toEqual({ messages: 0, consumers: 1 })
        expect(proxy.connections).toBeGreaterThanOrEqual(2 + 2 * round)
      })
    }
    await eventually(() => expect(bench.replies.length).toBeGreaterThan(0))
    await sleep(300) // A second run would show by now.
    expect(bench.sandbox.stats().writes).toBe(1)
    expect(bench.replies).toHaveLength(1)
    expect(await bench.tool.queueInfo(bench.commandQueue)).toEqual({ messages: 0, consumers: 1 })
  })

  it('goes on after a while without any broker', async () => {
    const { bench, proxy } = await open()
    await bench.ask({ method: 'server.time' })
    proxy.refuse = true
    proxy.reset()
    const sent = await Promise.all(ids(20).map((i) => bench.send(addDeal(`away ${i}`))))
    const health = await fetch(`${bench.service.url}/health/ready`)
    expect(health.status).toBe(503)
    await sleep(500) // The broker stays away for a while.
    proxy.refuse = false
    for (const id of sent) expect((await bench.reply(id)).body.outcome).toBe('done')
    expect((await fetch(`${bench.service.url}/health/ready`)).status).toBe(200)
    // The connection may have ended between the first reply and its acknowledgement.
    await bench.account({ twice: true })
  })
})

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`a bridge that is stopped ${name}`, () => {
    it('hands back a list that it had begun to read, and reads it after the restart', async () => {
      const bench = await openBench({
        broker: kind,
        sandbox: { deals: 3000, latencyMs: 30 },
        env: { BRIDGE_MAX_IN_FLIGHT: '1' },
      })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      const id = await bench.send({
        action: 'list',
        method: 'crm.deal.list',
        params: { order: { ID: 'DESC' } },
      })
      await eventually(() => expect(bench.sandbox.stats().requests).toBeGreaterThanOrEqual(1))
      expect(await bench.service.stop()).toBe(true)
      await bench.start()
      const { body } = await bench.reply(id)
      expect(body).toMatchObject({ outcome: 'done' })
      expect(body.result).toHaveLength(3000)
      await bench.account()
    })

    it('starts only where its store is free, and closes what it had opened', async () => {
      const bench = await openBench({ broker: kind })
      onTestFinished(() => bench[Symbol.asyncDispose]())
      const running = bench.service
      await expect(bench.start()).rejects.toMatchObject({ code: 'STORE_IN_USE' })
      bench.service = running
      expect((await bench.ask({ method: 'server.time' })).body.outcome).toBe('done')
    })
  })
}
