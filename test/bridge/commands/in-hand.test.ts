import { describe, expect, it } from 'vitest'
import { createInHand, type Job } from '../../../src/bridge/commands/in-hand.ts'

function job(identity: string, generation: number): Job & { finish(replied: boolean): Promise<void> } {
  let resolve: (replied: boolean) => void = () => undefined
  const end = new Promise<boolean>((done) => {
    resolve = done
  })
  return {
    identity,
    generation,
    end,
    async finish(replied) {
      resolve(replied)
      await end
    },
  }
}

describe('the commands in hand', () => {
  it('know the twin of a message that came by an earlier connection', () => {
    const jobs = createInHand(10)
    const first = job('a', 0)
    jobs.add(first)
    expect(jobs.claim('a', 0)).toBeUndefined()
    expect(jobs.claim('b', 1)).toBeUndefined()
    expect(jobs.claim('a', 1)).toBe(first)
    expect(jobs.claim('a', 1)).toBeUndefined()
  })

  it('know it again when the next connection breaks as well', () => {
    const jobs = createInHand(10)
    const first = job('a', 0)
    jobs.add(first)
    expect(jobs.claim('a', 1)).toBe(first)
    expect(jobs.claim('a', 2)).toBe(first)
    expect(jobs.claim('a', 5)).toBe(first)
  })

  it('tell two messages of the same content apart, the latest first', async () => {
    const jobs = createInHand(10)
    const [old, young] = [job('a', 0), job('a', 0)]
    jobs.add(old)
    jobs.add(young)
    await old.finish(true)
    expect(jobs.claim('a', 1)).toBe(young)
    expect(jobs.claim('a', 1)).toBe(old)
    expect(jobs.claim('a', 1)).toBeUndefined()
  })

  it('count those that run, forget what was handed back, and remember a bounded number of ended ones', async () => {
    const jobs = createInHand(2)
    const all = ['a', 'b', 'c', 'd'].map((identity) => job(identity, 0))
    for (const one of all) jobs.add(one)
    expect(jobs.size).toBe(4)
    await all[0]!.finish(false)
    for (const one of all.slice(1)) await one.finish(true)
    await new Promise(setImmediate)
    expect(jobs.size).toBe(0)
    const known = all.map(({ identity }) => jobs.claim(identity, 1)?.identity)
    expect(known).toEqual([undefined, undefined, 'c', 'd'])
  })
})
