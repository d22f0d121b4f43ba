import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import { expect, it, onTestFinished, vi } from 'vitest'
import { readConfig } from '../../src/config/read.ts'
import { openFoundation } from '../../src/service/foundation.ts'
import { BadProxy } from '../brokers/proxy.ts'
import { eventually } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'

it.skipIf(amqpUrl === undefined)(
  `a wall clock that jumps forward expires no publication that waits for its confirmation${amqpNote}`,
  async () => {
    let jumpMs = 0
    const wall = Date.now
    vi.spyOn(Date, 'now').mockImplementation(() => wall() + jumpMs)
    const proxy = await BadProxy.open(amqpUrl!)
    const ends: (() => Promise<unknown>)[] = []
    onTestFinished(async () => {
      vi.restoreAllMocks()
      await proxy.close()
      for (const end of ends.reverse()) await end()
    })
    const env = {
      BRIDGE_BROKER: proxy.url,
      BRIDGE_STORE: 'sqlite::memory:',
      BRIDGE_SECRET_KEY: `k1:${Buffer.alloc(32, 9).toString('base64')}`,
    }
    const config = readConfig({ env, cwd: '.' })
    const { broker } = await openFoundation(config, { logger: pino({ level: 'silent' }) }, ends)
    const queue = `b24.test.${randomUUID()}`
    const queues = [
      { name: queue, durable: true, type: 'plain' as const, arguments: { 'x-expires': 60_000 } },
    ]
    await broker.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
    await eventually(() => expect(broker.state().connected).toBe(true))
    proxy.blackHole = true
    const end = broker
      .publish({ exchange: '', routingKey: queue }, { body: Buffer.from('x'), headers: {} })
      .then(
        () => 'confirmed',
        (error) => error.code,
      )
    await eventually(() => expect(broker.state().unconfirmed).toBe(1))
    jumpMs = 86_400_000
    // Longer than the publisher takes to look.
    await sleep(1500)
    expect(broker.state().unconfirmed).toBe(1)
    proxy.reset()
    expect(await end).toBe('CONNECTION_LOST')
  },
)
