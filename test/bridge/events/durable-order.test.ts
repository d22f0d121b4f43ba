import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { createDurableOutlet } from '../../../src/bridge/events/spool.ts'
import type { PortalEvent } from '../../../src/model/event.ts'
import { eventRecords } from '../../../src/stores/events.ts'
import { openStore } from '../../../src/stores/open.ts'
import { unlockStore } from '../../../src/stores/unlock.ts'

function event(key: string, receivedAt: number): PortalEvent {
  return { kind: 'event', memberId: 'm', domain: 'd', event: 'ONCRMDEALUPDATE', data: {}, receivedAt, key }
}

it('sends what came behind a late event to the store as well, before anything newer', async () => {
  const address = 'sqlite::memory:'
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
  const { spool } = eventRecords(store.db, secrets, Date.now)
  const failures: ((error: Error) => void)[] = []
  const outlet = createDurableOutlet({
    // A broker that says nothing at all, until its connection ends.
    outlet: { publish: () => new Promise((_, reject) => failures.push(reject)) },
    brokerState: () => ({ connected: true, blocked: false }),
    store: spool,
    owner: 'me',
    now: Date.now,
    budgetMs: 300,
    pollMs: 60_000,
    setAside: () => Promise.resolve(false),
    log: () => undefined,
  })
  onTestFinished(async () => {
    await outlet.close()
    await store.close()
  })
  await outlet.start()
  const older = outlet.keep(event('older', Date.now() - 250))
  const newer = outlet.keep(event('newer', Date.now()))
  // The budget of the older one ends first, and the newer one is in time for long still.
  expect(await older).toBe('spooled')
  await outlet.keep(event('newest', Date.now()))
  for (const fail of failures) fail(new Error('the connection ended'))
  expect(await newer).toBe('spooled')
  await sleep(0)
  expect((await spool.oldest(10)).map(({ event: { key } }) => key)).toEqual(['older', 'newer', 'newest'])
})
