import { expect, it } from 'vitest'
import { spoolSize } from '../../src/stores/queries/event-spool.ts'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'
import { type EventBench, openEventBench } from '../support/events.ts'

const skip = amqpUrl === undefined

/** Gives the longest time that an answer took. */
async function postAll(bench: EventBench, from: number, to: number): Promise<number> {
  let longestMs = 0
  for (let id = from; id <= to; id++) {
    const begun = Date.now()
    expect((await bench.post(bench.deal(id))).status).toBe(200)
    longestMs = Math.max(longestMs, Date.now() - begun)
  }
  return longestMs
}

async function spooled(bench: EventBench): Promise<number> {
  return (await spoolSize(bench.store.db)).count
}

const range = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index)

it.skipIf(skip)(`keeps events while the broker is away, and publishes them in order${amqpNote}`, async () => {
  const proxy = await BadProxy.open(amqpUrl!)
  const bench = await openEventBench({ broker: 'amqp', brokerUrl: proxy.url })
  await postAll(bench, 1, 10)
  await eventually(() => expect(bench.deals()).toEqual(range(1, 10)))
  await eventually(async () => expect(await spooled(bench)).toBe(0))
  proxy.refuse = true
  proxy.reset()
  // Portals put handlers that answer late behind all others.
  expect(await postAll(bench, 11, 60)).toBeLessThan(1000)
  expect(await spooled(bench)).toBe(50)
  proxy.refuse = false
  await eventually(() => expect(bench.deals()).toEqual(range(1, 60)), 20_000)
  await postAll(bench, 61, 80)
  await eventually(() => expect(bench.deals()).toEqual(range(1, 80)), 10_000)
  expect(bench.consumed.filter(({ body }) => body.event === 'ONCRMDEALUPDATE')).toHaveLength(80)
  await proxy.close()
})

it.skipIf(skip)(`keeps events that a silent broker does not confirm in time${amqpNote}`, async () => {
  const proxy = await BadProxy.open(amqpUrl!)
  const bench = await openEventBench({ broker: 'amqp', brokerUrl: proxy.url })
  proxy.blackHole = true
  await postAll(bench, 1, 5)
  proxy.blackHole = false
  proxy.reset()
  await eventually(() => expect(bench.deals()).toEqual(range(1, 5)), 20_000)
  await proxy.close()
})

it.skipIf(skip)(`publishes what another process left behind${amqpNote}`, async () => {
  const proxy = await BadProxy.open(amqpUrl!)
  const bench = await openEventBench({ broker: 'amqp', brokerUrl: proxy.url })
  proxy.refuse = true
  proxy.reset()
  await postAll(bench, 1, 20)
  await bench.service.stop()
  proxy.refuse = false
  await bench.start()
  await postAll(bench, 21, 30)
  await eventually(() => expect(bench.deals()).toEqual(range(1, 30)), 20_000)
  await proxy.close()
})
