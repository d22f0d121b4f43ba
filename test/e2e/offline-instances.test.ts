import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { beginTenure, LEASE_MS } from '../../src/bridge/events/offline/tenure.ts'
import { offlineQueries } from '../../src/stores/offline.ts'
import { openStore } from '../../src/stores/open.ts'
import { DATABASES } from '../support/databases.ts'

for (const database of DATABASES.filter(({ name }) => name !== 'SQLite')) {
  it.skipIf(database.skip)(
    `two processes on ${database.name} never have the same queue, and one takes over when the other is gone${database.note}`,
    async () => {
      const { url, drop } = await database.create()
      onTestFinished(drop)
      const [one, two] = await Promise.all([1, 2].map(() => openStore(url, { now: Date.now })))
      const name = 'offline/m/c/'
      const now = (): number => performance.now()
      const first = await beginTenure(offlineQueries(one!).leases, name, { owner: 'one', now })
      const begin = () => beginTenure(offlineQueries(two!).leases, name, { owner: 'two', now })
      expect(await begin()).toBeUndefined()
      // Longer than a lease lasts without renewal.
      await sleep(LEASE_MS + 1000)
      expect(await begin()).toBeUndefined()
      expect(first?.signal.aborted).toBe(false)
      // As if killed: nothing is given back, nothing is renewed.
      await one!.close()
      await sleep(LEASE_MS + 1000)
      const second = await begin()
      expect(second).toBeDefined()
      expect(first?.signal.aborted, 'the first one knows that it has lost the queue').toBe(true)
      await second?.end()
      await two!.close()
    },
    60_000,
  )
}
