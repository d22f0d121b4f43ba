import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'amqplib'
import { describe, expect, it } from 'vitest'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { BROKERS, openBench } from '../support/bridge.ts'
import { amqpUrl } from '../support/engines.ts'

const adds = (count: number): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`c${i}`, `crm.deal.add?fields[TITLE]=f${i}`]))

describe.each(BROKERS)('commands of many requests $name', ({ kind, skip }) => {
  it.skipIf(skip)('bring a batch that has begun to its end when the bridge is asked to stop', async () => {
    await using bench = await openBench({ broker: kind, sandbox: { latencyMs: 200 } })
    const id = await bench.send({ action: 'batch', params: { cmd: adds(200) } })
    await eventually(() => expect(bench.sandbox.stats().writes).toBeGreaterThan(0), 10_000)
    await bench.service.stop()
    await eventually(() => expect(bench.repliesTo(id)).toHaveLength(1), 10_000)
    const { body } = bench.repliesTo(id)[0] as { body: { outcome: string; result: Record<string, unknown> } }
    expect(body.outcome).toBe('done')
    expect(Object.keys(body.result)).toHaveLength(200)
    expect(bench.sandbox.stats().writes).toBe(200)
  })

  it.skipIf(skip)('end a list at its deadline, counted from its arrival and not from each page', async () => {
    await using bench = await openBench({ broker: kind, sandbox: { deals: 50_000, latencyMs: 300 } })
    const { body } = await bench.ask({ action: 'list', method: 'crm.deal.list', deadlineMs: 700 })
    expect(body).toMatchObject({ outcome: 'failed', status_code: 504, error: { code: 'DEADLINE_EXCEEDED' } })
  })
})

describe('commands without an id', () => {
  it.skipIf(amqpUrl === undefined)(
    'are all carried out and answered, also one that another consumer held while the same command had just ended here',
    async () => {
      const url = amqpUrl as string
      const proxy = await BadProxy.open(url)
      await using bench = await openBench({
        broker: 'amqp',
        contract: 'bitrix24-bridge',
        brokerUrl: proxy.url,
      })
      const body = Buffer.from(
        JSON.stringify({ method: 'crm.deal.add', params: { fields: { TITLE: 'same' } } }),
      )
      const producer = await connect(url)
      const channel = await producer.createChannel()
      channel.sendToQueue(bench.commandQueue, body)
      await eventually(() => expect(bench.replies).toHaveLength(1), 10_000)
      // An acknowledgement is on its way for a moment; only then it has surely been heard.
      await sleep(300)
      proxy.refuse = true
      proxy.reset()
      const other = await connect(url)
      const held = new Promise<void>((resolve) => {
        void other.createChannel().then((one) => one.consume(bench.commandQueue, () => resolve()))
      })
      channel.sendToQueue(bench.commandQueue, body)
      await held
      await other.close()
      await producer.close()
      proxy.refuse = false
      await eventually(() => expect(bench.replies).toHaveLength(2), 20_000)
      expect(bench.sandbox.stats().writes).toBe(2)
    },
  )
})
