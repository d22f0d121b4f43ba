import { describe, expect, it } from 'vitest'
import { createInHand } from '../../../src/bridge/commands/in-hand.ts'
import type { Delivery } from '../../../src/brokers/broker.ts'

/** A delivery whose channel can be lost. */
function delivery(): Delivery & { lost: boolean } {
  return {
    message: { body: Buffer.from('{}'), headers: {} },
    queue: 'q',
    exchange: '',
    routingKey: 'q',
    redelivered: false,
    deliveryCount: 0,
    lost: false,
    ack: () => undefined,
    requeue: () => undefined,
  }
}

describe('the commands in hand', () => {
  it('know the twin of a message whose delivery was lost, once', () => {
    const jobs = createInHand(10)
    const first = delivery()
    const job = jobs.add('a', first)
    expect(jobs.claim('a', delivery())).toBeUndefined()
    first.lost = true
    expect(jobs.claim('b', delivery())).toBeUndefined()
    expect(jobs.claim('a', delivery())).toBe(job)
    expect(jobs.claim('a', delivery())).toBeUndefined()
  })

  it('know it again when the channel of the twin is lost as well', () => {
    const jobs = createInHand(10)
    const [first, second] = [delivery(), delivery()]
    const job = jobs.add('a', first)
    first.lost = true
    expect(jobs.claim('a', second)).toBe(job)
    second.lost = true
    expect(jobs.claim('a', delivery())).toBe(job)
  })

  it('take a message for a new one when the earlier one of the same content ended and the broker heard of it', () => {
    const jobs = createInHand(10)
    const first = delivery()
    jobs.add('a', first).finish(true)
    first.lost = true
    expect(jobs.claim('a', delivery())).toBeUndefined()
  })

  it('remember what ended while its channel was lost, until the twin is acknowledged', () => {
    const jobs = createInHand(10)
    const [first, second] = [delivery(), delivery()]
    const job = jobs.add('a', first)
    first.lost = true
    job.finish(true)
    expect(jobs.size).toBe(0)
    expect(jobs.claim('a', second)).toBe(job)
    jobs.forget(job)
    second.lost = true
    expect(jobs.claim('a', delivery())).toBeUndefined()
  })

  it('forget what was handed back, and remember a bounded number of the others', async () => {
    const jobs = createInHand(2)
    const held = ['a', 'b', 'c', 'd'].map((identity) => {
      const lost = delivery()
      const job = jobs.add(identity, lost)
      lost.lost = true
      return job
    })
    expect(jobs.size).toBe(4)
    held[0]?.finish(false)
    for (const job of held.slice(1)) job.finish(true)
    expect(await Promise.all(held.map(({ end }) => end))).toEqual([false, true, true, true])
    expect(jobs.size).toBe(0)
    const known = held.filter(({ identity }) => jobs.claim(identity, delivery()) !== undefined)
    expect(known.map(({ identity }) => identity)).toEqual(['c', 'd'])
  })
})
