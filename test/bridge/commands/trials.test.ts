import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { moveSuspects, type Suspects, watchForSuspects } from '../../../src/bridge/commands/suspects.ts'
import { type TrialStore, trySuspects } from '../../../src/bridge/commands/trials.ts'
import type { Broker, Delivery } from '../../../src/brokers/broker.ts'

const CONVICTED = { kind: 'unknown', failure: { code: 'COMMAND_FATAL' } }

/** What all processes share, and which of them are alive. */
class Shared {
  readonly rows = new Map<string, { owner: string; deaths: number; crowded: boolean }>()
  readonly alive = new Set<string>()
  away = false

  for(owner: string): TrialStore {
    const mine = (id: string) => (this.rows.get(id)?.owner === owner ? this.rows.get(id) : undefined)
    const ask = async <T>(answer: () => T): Promise<T> => {
      if (this.away || !this.alive.has(owner)) throw new Error('The store is away')
      return answer()
    }
    return {
      find: (id) =>
        ask(() => {
          const row = this.rows.get(id)
          return row && { ...row, gone: row.owner !== owner && !this.alive.has(row.owner) }
        }),
      begin: (id, deaths) => ask(() => void this.rows.set(id, { owner, deaths, crowded: false })),
      crowd: (id) => ask(() => void Object.assign(mine(id) ?? {}, { crowded: true })),
      end: (id) => ask(() => void (mine(id) && this.rows.delete(id))),
      endAll: () =>
        ask(() => {
          for (const [id, row] of this.rows) if (row.owner === owner) this.rows.delete(id)
        }),
    }
  }
}

interface Process {
  readonly suspects: Suspects
  /** It is gone from one moment to the next. */
  kill(): void
}

function start(shared: Shared, owner: string, aloneMs = 40): Process {
  shared.alive.add(owner)
  const times = { settleMs: 20, aloneMs, lookMs: 5, patienceMs: 200 }
  const log = () => undefined
  const suspects = trySuspects({ store: shared.for(owner), owner, now: Date.now, log, ...times })
  onTestFinished(() => suspects.close())
  return { suspects, kill: () => void shared.alive.delete(owner) }
}

function delivery(id: string, more: Partial<Delivery> = {}): Delivery {
  const message = { body: Buffer.from(id), headers: {}, messageId: id }
  const none = () => undefined
  return {
    message,
    queue: 'commands.suspect',
    exchange: '',
    routingKey: '',
    redelivered: true,
    deliveryCount: 1,
    lost: false,
    ack: none,
    requeue: none,
    ...more,
  }
}

/** `waiting` when there is no verdict within a moment. */
async function soon(verdict: Promise<unknown>, ms = 100): Promise<unknown> {
  return Promise.race([verdict, sleep(ms, 'waiting')])
}

describe('the trials of suspects', () => {
  it('convict what two processes died of, and nothing that came beside it', async () => {
    const shared = new Shared()
    for (const owner of ['a', 'b']) {
      const { suspects, kill } = start(shared, owner)
      expect(await suspects.look(delivery('poison'))).toBe('fine')
      // Its neighbour waits for its turn, and is not blamed for an end before that.
      expect(await soon(suspects.look(delivery('neighbour')), 10)).toBe('waiting')
      kill()
    }
    const { suspects } = start(shared, 'c')
    expect(await suspects.look(delivery('poison'))).toMatchObject(CONVICTED)
    expect(await suspects.look(delivery('neighbour'))).toBe('fine')
    suspects.survived(delivery('neighbour'))
  })

  it('do not count an end in order, with the drain time over or not', async () => {
    const shared = new Shared()
    for (const owner of ['a', 'b', 'c', 'd']) {
      const { suspects, kill } = start(shared, owner)
      expect(await suspects.look(delivery('innocent'))).toBe('fine')
      suspects.close()
      kill()
    }
    expect(shared.rows.size).toBe(0)
  })

  it('wait for a process that has it in hand still, and count nothing when that one ends it', async () => {
    const shared = new Shared()
    const first = start(shared, 'a')
    const held = delivery('slow')
    expect(await first.suspects.look(held)).toBe('fine')
    // The connection of the first was cut: the broker hands it out again.
    const second = start(shared, 'b')
    const verdict = second.suspects.look(delivery('slow'))
    expect(await soon(verdict)).toBe('waiting')
    first.suspects.survived(held)
    expect(await verdict).toBe('fine')
    expect([...shared.rows.values()]).toEqual([{ owner: 'b', deaths: 0, crowded: false }])
  })

  it('know only after a while that a process is gone, and try nothing before', async () => {
    const shared = new Shared()
    const first = start(shared, 'a', 1000)
    await first.suspects.look(delivery('poison'))
    const second = start(shared, 'b')
    const verdict = second.suspects.look(delivery('poison'))
    expect(await soon(verdict, 50)).toBe('waiting')
    first.kill()
    expect(await verdict).toBe('fine')
    expect([...shared.rows.values()]).toMatchObject([{ owner: 'b', deaths: 1 }])
  })

  it('let the next one be tried beside one that hangs, and blame neither for an end in company', async () => {
    const shared = new Shared()
    for (const owner of ['a', 'b']) {
      const { suspects, kill } = start(shared, owner)
      const verdicts = [suspects.look(delivery('hangs')), suspects.look(delivery('poison'))]
      expect(await soon(verdicts[0]!)).toBe('fine')
      const second = await soon(verdicts[1]!, 80)
      if (owner === 'a') expect(second, 'beside the one that hangs').toBe('fine')
      else expect(second, 'what was in hand at an end is tried alone').toBe('waiting')
      kill()
    }
    // The one that hangs was in hand twice at an end: once in company, which does not count.
    const { suspects } = start(shared, 'c')
    const hangs = delivery('hangs')
    expect(await suspects.look(hangs)).toBe('fine')
    const poison = suspects.look(delivery('poison'))
    expect(await soon(poison)).toBe('waiting')
    suspects.survived(hangs)
    expect(await soon(poison)).toBe('fine')
  })

  it('try nothing in the first moments of a process, when whatever else kills it does so', async () => {
    const shared = new Shared()
    const { suspects, kill } = start(shared, 'a')
    const verdict = suspects.look(delivery('innocent'))
    expect(await soon(verdict, 5)).toBe('waiting')
    kill()
    await verdict.catch(() => undefined)
    expect(shared.rows.size).toBe(0)
  })

  it('forget a trial that ended while the store was away, when it is back', async () => {
    const shared = new Shared()
    const { suspects } = start(shared, 'a')
    const held = delivery('m')
    expect(await suspects.look(held)).toBe('fine')
    shared.away = true
    suspects.survived(held)
    await sleep(20)
    expect(shared.rows.size).toBe(1)
    shared.away = false
    await sleep(30)
    expect(shared.rows.size).toBe(0)
  })

  it('reject while the store is away, and hold up nobody by that', async () => {
    const shared = new Shared()
    const { suspects } = start(shared, 'a')
    shared.away = true
    await expect(suspects.look(delivery('m'))).rejects.toThrow('away')
    shared.away = false
    expect(await suspects.look(delivery('m'))).toBe('fine')
  })
})

describe('what is suspected', () => {
  /** One process after another, on a queue that counts no deliveries. */
  async function seen(times: number, counts: boolean): Promise<unknown[]> {
    const taken = new Map<string, number>()
    const verdicts: unknown[] = []
    for (let time = 0; time < times; time++) {
      const published: unknown[] = []
      const broker = {
        features: { delayedRequeue: false, network: true },
        publish: async (address: unknown) => void published.push(address),
      } as unknown as Broker
      const parts = { broker, now: Date.now, log: () => undefined, ensure: async () => undefined }
      const watching = watchForSuspects({
        broker,
        now: Date.now,
        next: moveSuspects('commands.suspect', parts),
        store: {
          async taken(id) {
            const before = taken.get(id)
            taken.set(id, before === undefined ? 0 : before + 1)
            return taken.get(id)!
          },
          forget: async (id) => void taken.delete(id),
        },
      })
      const headers = counts ? { 'x-delivery-count': time } : {}
      const message = { body: Buffer.from('m'), headers, messageId: 'm' }
      const deliveryCount = counts ? time : Math.min(1, time)
      verdicts.push(await watching.look(delivery('m', { message, redelivered: time > 0, deliveryCount })))
    }
    return verdicts
  }

  it('was in hand in three processes that ended, on quorum queues and on classic ones', async () => {
    for (const counts of [true, false])
      expect(await seen(4, counts), String(counts)).toEqual(['fine', 'fine', 'fine', 'moved'])
  })
})
