import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Broker } from '../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../src/brokers/embedded.ts'
import { openStore } from '../../src/stores/open.ts'
import type { Store } from '../../src/stores/store.ts'
import {
  brokerConformance,
  collect,
  eventually,
  take,
  textMessage,
  topologyOf,
} from '../conformance/broker.ts'

const folder = mkdtempSync(join(tmpdir(), 'b24-embedded-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let shared: Promise<Store> | undefined
afterAll(async () => (await shared)?.close())

brokerConformance(
  'the embedded broker',
  {
    async open() {
      shared ??= openStore(`sqlite:${join(folder, 'conformance.db')}`, { now: Date.now })
      return openEmbeddedBroker({ db: (await shared).db, now: Date.now })
    },
  },
  { queueType: 'plain', priorities: true },
)

describe('the embedded broker on a file', () => {
  const file = `sqlite:${join(folder, 'file.db')}`
  const queue = 'orders'
  let store: Store
  let broker: Broker

  beforeEach(async () => {
    store = await openStore(file, { now: Date.now })
    broker = await openEmbeddedBroker({ db: store.db, now: Date.now })
    await broker.declare(topologyOf({ queues: [{ name: queue, durable: true, type: 'plain' }] }))
  })

  afterEach(async () => {
    await broker.deleteQueue(queue)
    await broker.close()
    await store.close()
  })

  it('hands out messages that another connection has written', async () => {
    const inbox = await collect(broker, queue, 10)
    const tool = await openStore(file, { now: Date.now, exclusive: false })
    const toolBroker = await openEmbeddedBroker({ db: tool.db, now: Date.now, takeOver: false })
    await toolBroker.publish({ exchange: '', routingKey: queue }, textMessage('from a tool'))
    await toolBroker.close()
    await tool.close()
    await inbox.has(1)
    expect(inbox.texts()).toEqual(['from a tool'])
  })

  it('leaves a message with its holder while the holder lives, and frees it when the lease ends', async () => {
    await broker.publish({ exchange: '', routingKey: queue }, textMessage('held'))
    const tool = await openStore(file, { now: Date.now, exclusive: false })
    const toolBroker = await openEmbeddedBroker({
      db: tool.db,
      now: Date.now,
      takeOver: false,
      leaseMs: 600,
      pollMs: 50,
    })
    const held = await take(toolBroker, queue)
    await sleep(900)
    expect(await broker.get(queue)).toBeUndefined()
    // The tool dies: no close, no more renewals.
    await tool.close()
    const freed = await take(broker, queue)
    expect(freed).toMatchObject({ redelivered: true, deliveryCount: 1 })
    freed.ack()
    held.ack()
    await toolBroker.close().catch(() => {})
  })

  it('frees at once what a crashed process held, when it is the only one on the file', async () => {
    await broker.publish({ exchange: '', routingKey: queue }, textMessage('x'))
    await take(broker, queue)
    const next = await openEmbeddedBroker({ db: store.db, now: Date.now })
    const again = await take(next, queue)
    expect(again.redelivered).toBe(true)
    again.ack()
    await next.close()
  })

  it('rejects publications while the database fails and says so, then goes on', async () => {
    const inbox = await collect(broker, queue, 10)
    await store.db.schema.alterTable('embedded_messages').renameTo('away').execute()
    const failed = broker.publish({ exchange: '', routingKey: queue }, textMessage('lost'))
    await expect(failed).rejects.toMatchObject({ code: 'NACKED' })
    expect(broker.state()).toMatchObject({
      connected: false,
      reason: expect.stringContaining('embedded_messages'),
    })
    await store.db.schema.alterTable('away').renameTo('embedded_messages').execute()
    await eventually(() => expect(broker.state().connected).toBe(true))
    await broker.publish({ exchange: '', routingKey: queue }, textMessage('kept'))
    await inbox.has(1)
    expect(inbox.texts()).toEqual(['kept'])
  })

  it('refuses exchanges of type headers', async () => {
    const exchanges = [{ name: 'by-header', type: 'headers' as const, durable: true }]
    await expect(broker.declare(topologyOf({ exchanges }))).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  })
})
