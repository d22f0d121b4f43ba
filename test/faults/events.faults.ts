import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { eventually } from '../conformance/broker.ts'
import { type EventBench, openEventBench } from '../support/events.ts'
import { rabbitNode, skip, note as skipped } from './support/engines.ts'
import { sized } from './support/profile.ts'
import { note } from './support/rig.ts'

describe.skipIf(skip)(`events while the broker is in trouble${skipped}`, () => {
  it('a flood while the broker is killed and away: each has its 200, and each is published, in order', async () => {
    const startedAt = performance.now()
    const node = rabbitNode()
    const bench = await openEventBench({ broker: 'amqp', brokerUrl: node.url })
    const count = sized(1000, 20_000)
    await flood(bench, 0, count)
    const flooding = flood(bench, count, count)
    await sleep(100) // In the middle.
    await node.kill()
    await flooding
    await node.start()
    await flood(bench, 2 * count, count)
    const all = Array.from({ length: 3 * count }, (_, at) => at + 1)
    await eventually(() => expect(bench.deals()).toHaveLength(all.length), 60_000)
    expect(bench.deals()).toEqual(all)
    note({
      name: 'event flood (events, not commands)',
      faults: new Map([['broker killed', 1]]),
      seconds: (performance.now() - startedAt) / 1000,
      account: { commands: all.length, done: bench.deals().length },
    })
  })
})

/** One portal changes its deals one after another; every request must be answered with 200. */
async function flood(bench: EventBench, after: number, count: number): Promise<void> {
  for (let id = after + 1; id <= after + count; id++)
    expect((await bench.post(bench.deal(id))).status, `deal ${id}`).toBe(200)
}
