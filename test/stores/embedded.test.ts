import { afterAll, expect, it } from 'vitest'
import { openEmbeddedBroker } from '../../src/brokers/embedded.ts'
import { openStore } from '../../src/stores/open.ts'
import type { Store } from '../../src/stores/store.ts'
import { brokerConformance, collect, textMessage, topologyOf } from '../conformance/broker.ts'
import { DATABASES } from '../support/databases.ts'

// On SQLite it is proved in test/brokers/embedded.test.ts.
for (const database of DATABASES.filter(({ name }) => name !== 'SQLite')) {
  let opened: Promise<{ store: Store; url: string; drop(): Promise<void> }> | undefined

  async function open(): Promise<{ store: Store; url: string; drop(): Promise<void> }> {
    const { url, drop } = await database.create()
    return { store: await openStore(url, { now: Date.now }), url, drop }
  }

  afterAll(async () => {
    const { store, drop } = (await opened) ?? {}
    await store?.close()
    await drop?.()
  })

  brokerConformance(
    `the embedded broker on ${database.name}`,
    {
      async open() {
        opened ??= open()
        return openEmbeddedBroker({ db: (await opened).store.db, now: Date.now })
      },
    },
    { queueType: 'plain', priorities: true, skip: database.skip, note: database.note },
  )

  it.skipIf(database.skip)(
    `several bridges on ${database.name} share a queue, and each message goes to one of them${database.note}`,
    async () => {
      opened ??= open()
      const { url } = await opened
      const stores = await Promise.all([1, 2, 3].map(() => openStore(url, { now: Date.now })))
      const brokers = await Promise.all(
        stores.map(({ db }) => openEmbeddedBroker({ db, now: Date.now, takeOver: false, pollMs: 20 })),
      )
      const topology = topologyOf({ queues: [{ name: 'shared', durable: true, type: 'plain' }] })
      await Promise.all(brokers.map((broker) => broker.declare(topology)))
      const inboxes = await Promise.all(brokers.map((broker) => collect(broker, 'shared', 1000)))
      const bodies = Array.from({ length: 300 }, (_, i) => `message ${i}`)
      await Promise.all(
        bodies.map((body, i) =>
          brokers[i % 3]!.publish({ exchange: '', routingKey: 'shared' }, textMessage(body)),
        ),
      )
      await expect.poll(() => inboxes.flatMap((inbox) => inbox.texts()).length, { timeout: 10_000 }).toBe(300)
      expect(inboxes.flatMap((inbox) => inbox.texts()).sort()).toEqual([...bodies].sort())
      for (const inbox of inboxes) for (const delivery of inbox.deliveries) delivery.ack()
      for (const broker of brokers) await broker.close()
      for (const store of stores) await store.close()
    },
  )
}
