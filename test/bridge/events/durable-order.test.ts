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

/** Over a broker that says nothing at all; `failures` ends its publications, in their order. */
async function openSilent() {
  const address = 'sqlite::memory:'
  const store = await openStore(address, { now: Date.now })
  const secrets = await unlockStore(store, { address, given: undefined, production: false, now: Date.now })
  const { spool } = eventRecords(store.db, secrets, Date.now)
  const failures: ((error: Error) => void)[] = []
  const outlet = createDurableOutlet({
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
  const kept = async () => (await spool.oldest(10)).map(({ event: { key } }) => key)
  return { outlet, failures, kept }
}

it('sends what came behind a late event to the store as well, before anything newer', async () => {
  const { outlet, failures, kept } = await openSilent()
  const older = outlet.keep(event('older', Date.now() - 250))
  const newer = outlet.keep(event('newer', Date.now()))
  // The budget of the older one ends first, and the newer one is in time for long still.
  expect(await older).toBe('spooled')
  await outlet.keep(event('newest', Date.now()))
  for (const fail of failures) fail(new Error('the connection ended'))
  expect(await newer).toBe('spooled')
  await sleep(0)
  expect(await kept()).toEqual(['older', 'newer', 'newest'])
})

it('keeps the order of arrival when the broker refuses one while it has not said anything of another', async () => {
  const { outlet, failures, kept } = await openSilent()
  const all = ['first', 'second', 'third'].map((key) => outlet.keep(event(key, Date.now())))
  failures[1]?.(new Error('a queue is full'))
  expect(await Promise.all(all)).toEqual(['spooled', 'spooled', 'spooled'])
  expect(await kept()).toEqual(['first', 'second', 'third'])
})
