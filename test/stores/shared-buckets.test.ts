import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStore } from '../../src/stores/open.ts'
import { fillBucket, levelOf, takePlaces } from '../../src/stores/queries/buckets.ts'
import { openSharedBuckets } from '../../src/stores/shared-buckets.ts'
import type { Store } from '../../src/stores/store.ts'
import { DATABASES, type TestDatabase } from '../support/databases.ts'

const silent = () => undefined

for (const database of DATABASES) {
  describe.skipIf(database.skip)(`a shared request counter on ${database.name}${database.note}`, () => {
    let place: Awaited<ReturnType<TestDatabase['create']>>
    const stores: Store[] = []

    beforeAll(async () => {
      place = await database.create()
      for (let process = 0; process < 3; process++)
        stores.push(await openStore(place.url, { now: Date.now, exclusive: false }))
    })
    afterAll(async () => {
      for (const store of stores) await store.close()
      await place.drop()
    })

    it('grants as many places as there are, however many processes ask at once', async () => {
      // It drains a place in a hundred seconds, so nothing comes free meanwhile.
      const bucket = { key: 'crowd.example.com', drainPerSecond: 0.01 }
      const asked = await Promise.all(
        Array.from({ length: 60 }, (_, turn) =>
          takePlaces(stores[turn % stores.length]!.db, bucket, { places: 1, capacity: 20 }),
        ),
      )
      expect(asked.filter(Boolean)).toHaveLength(20)
      expect(await levelOf(stores[0]!.db, bucket)).toBeCloseTo(20, 0)
    })

    it('drains by the clock of the database, not by ours', async () => {
      const bucket = { key: 'drain.example.com', drainPerSecond: 1000 }
      const [{ db }] = stores as [Store]
      expect(await takePlaces(db, bucket, { places: 50, capacity: 50 })).toBe(true)
      // Fifty places drain in fifty milliseconds; however fast this runs, some are free then.
      await expect
        .poll(() => takePlaces(db, bucket, { places: 50, capacity: 50 }), { timeout: 5000 })
        .toBe(true)
    })

    it('is full for a while when the portal says so', async () => {
      const bucket = { key: 'full.example.com', drainPerSecond: 10 }
      const [{ db }] = stores as [Store]
      await fillBucket(db, bucket, { capacity: 50, forMs: 4000 })
      expect(await levelOf(db, bucket)).toBeGreaterThan(50)
      expect(await takePlaces(db, bucket, { places: 1, capacity: 50 })).toBe(false)
    })

    it('gives what is left when more is asked for, and says where it stands when nothing is left', async () => {
      const buckets = await openSharedBuckets({ store: stores[0]!, owner: 'a', now: Date.now, log: silent })
      const counter = buckets.counter('left.example.com', { capacity: 5, drainPerSecond: 0.01 })
      expect(await counter.take({ most: 3, capacity: 5 })).toEqual({ granted: 3 })
      expect(await counter.take({ most: 3, capacity: 5 })).toEqual({ granted: 2 })
      expect(await counter.take({ most: 1, capacity: 5 })).toMatchObject({ granted: 0 })
      await buckets.close()
    })

    it('counts the processes, and forgets those that end', async () => {
      const first = await openSharedBuckets({ store: stores[0]!, owner: 'one', now: Date.now, log: silent })
      const second = await openSharedBuckets({ store: stores[1]!, owner: 'two', now: Date.now, log: silent })
      expect([first.instances(), second.instances()]).toEqual([1, 2])
      await first.close()
      const third = await openSharedBuckets({ store: stores[2]!, owner: 'three', now: Date.now, log: silent })
      expect(third.instances()).toBe(2)
      await second.close()
      await third.close()
    })
  })
}

describe('a process that cannot reach the counter', () => {
  it('uses its share of what drains and nothing of what is stored, and counts it when the store is back', async () => {
    const place = await DATABASES[0]!.create()
    const store = await openStore(place.url, { now: Date.now, exclusive: false })
    const events: string[] = []
    let now = 0
    // The store is exchanged under it: closed it answers nothing, opened again it does.
    const view = {
      ...store,
      get db() {
        return store.db
      },
    } as Store
    const buckets = await openSharedBuckets({
      store: view,
      owner: 'a',
      now: () => now,
      log: (event) => events.push(event),
    })
    const counter = buckets.counter('away.example.com', { capacity: 50, drainPerSecond: 2 })
    expect(await counter.take({ most: 1, capacity: 48 })).toEqual({ granted: 1 })
    await store.close()
    expect(await counter.take({ most: 40, capacity: 48 })).toEqual({ granted: 0 })
    expect(events).toEqual(['bucket.alone'])
    // One process is known, and one more may have started: half of two a second.
    now = 999
    expect(await counter.take({ most: 40, capacity: 48 })).toEqual({ granted: 0 })
    now = 1000
    expect(await counter.take({ most: 40, capacity: 48 })).toEqual({ granted: 1 })
    expect(await counter.take({ most: 40, capacity: 48 })).toEqual({ granted: 0 })
    await buckets.close()
    await place.drop()
  })
})
