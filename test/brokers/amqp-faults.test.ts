import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type AmqpBrokerOptions, openAmqpBroker } from '../../src/brokers/amqp.ts'
import type { Broker } from '../../src/brokers/broker.ts'
import { collect, eventually, take, textMessage, topologyOf, uniqueName } from '../conformance/broker.ts'
import { amqpNote, amqpUrl } from '../support/engines.ts'
import { BadProxy } from './proxy.ts'

describe.skipIf(amqpUrl === undefined)(`RabbitMQ over a bad network${amqpNote}`, () => {
  let proxy: BadProxy
  /** Straight to RabbitMQ. */
  let direct: Broker
  let queue: string
  let log: { event: string; fields: Readonly<Record<string, unknown>> }[]
  const opened: Broker[] = []

  function open(more: Partial<AmqpBrokerOptions> = {}): Broker {
    const logger = (event: string, fields: Readonly<Record<string, unknown>>) => log.push({ event, fields })
    // `random` 0: the shortest waits between attempts.
    const broker = openAmqpBroker({
      url: proxy.url,
      name: 'b24-test',
      random: () => 0,
      now: Date.now,
      logger,
      ...more,
    })
    opened.push(broker)
    return broker
  }

  beforeEach(async () => {
    log = []
    proxy = await BadProxy.open(amqpUrl!)
    direct = open({ url: amqpUrl!, logger: () => {} })
    queue = uniqueName('faults')
    await direct.declare(topologyOf({ queues: [{ name: queue, durable: true, type: 'quorum' }] }))
  })

  afterEach(async () => {
    await direct.deleteQueue(queue)
    await Promise.all(opened.splice(0).map((broker) => broker.close()))
    await proxy.close()
  })

  const to = (routingKey: string) => ({ exchange: '', routingKey })
  const loggedText = () => JSON.stringify(log)

  it('leaves no question open, whenever the connection goes', async () => {
    const broker = open()
    await broker.queueInfo(queue)
    for (let cut = 0; cut < 60; cut++) {
      const asked = Promise.allSettled([
        broker.queueInfo(queue),
        broker.declare(topologyOf({ queues: [{ name: queue, durable: true, type: 'quorum' }] })),
        broker.queueInfo(`${queue}.missing`),
      ])
      await sleep(cut / 10) // Each time elsewhere: while a channel is opened, asked or closed.
      proxy.reset()
      const late = sleep(20_000, 'a question is open', { ref: false })
      expect(await Promise.race([asked.then(() => 'all settled'), late]), `cut ${cut}`).toBe('all settled')
    }
  }, 60_000)

  it('loses no confirmed message while the connection is cut again and again', async () => {
    const broker = open()
    const confirmed: string[] = []
    async function insist(id: string): Promise<void> {
      for (;;) {
        try {
          await broker.publish(to(queue), textMessage(id))
          confirmed.push(id)
          return
        } catch (error) {
          expect(error).toMatchObject({ code: 'CONNECTION_LOST' })
        }
      }
    }
    let running = true
    const cutting = (async () => {
      while (running) {
        await sleep(150)
        proxy.reset()
      }
    })()
    let next = 0
    const sender = async () => {
      while (next < 6000) await insist(`${next++}`)
    }
    await Promise.all(Array.from({ length: 200 }, sender))
    running = false
    await cutting
    expect(confirmed).toHaveLength(6000)
    const inbox = await collect(direct, queue, 500)
    await eventually(() => expect(new Set(inbox.texts()).size).toBe(6000))
    expect(broker.state().reconnects).toBeGreaterThan(0)
  })

  it('goes on consuming after a cut and ignores the acks of deliveries from before', async () => {
    const broker = open()
    const inbox = await collect(broker, queue, 10, { ack: false })
    for (const text of ['a', 'b', 'c']) await direct.publish(to(queue), textMessage(text))
    await inbox.has(3)
    proxy.reset()
    await inbox.has(6)
    for (const stale of inbox.deliveries.slice(0, 3)) {
      stale.ack()
      stale.requeue()
    }
    expect(inbox.texts().slice(3)).toEqual(['a', 'b', 'c'])
    for (const delivery of inbox.deliveries.slice(3)) {
      expect(delivery).toMatchObject({ redelivered: true, deliveryCount: 1 })
      delivery.ack()
    }
    await direct.publish(to(queue), textMessage('d'))
    await inbox.has(7)
    inbox.deliveries[6]!.ack()
    await eventually(async () => expect(await direct.queueInfo(queue)).toEqual({ messages: 0, consumers: 1 }))
    expect(inbox.texts()).toHaveLength(7)
    expect(log.filter(({ event }) => event === 'consumer.subscribed')).toHaveLength(2)
  })

  it('makes its topology again after a reconnection', async () => {
    const broker = open()
    const own = uniqueName('own')
    const exchange = uniqueName('own-exchange')
    await broker.declare(
      topologyOf({
        exchanges: [{ name: exchange, type: 'topic', durable: true }],
        queues: [{ name: own, durable: true, type: 'plain' }],
        bindings: [{ queue: own, exchange, routingKey: '#' }],
      }),
    )
    const inbox = await collect(broker, own, 10)
    proxy.refuse = true
    proxy.reset()
    await direct.deleteQueue(own)
    await direct.deleteExchange(exchange)
    proxy.refuse = false
    await eventually(() => expect(broker.state().connected).toBe(true))
    await broker.publish({ exchange, routingKey: 'any' }, textMessage('through the new one'))
    await inbox.has(1)
    await broker.deleteQueue(own)
    await broker.deleteExchange(exchange)
  })

  it('makes a declared queue again when somebody else deletes it', async () => {
    const broker = open()
    const own = uniqueName('own')
    await broker.declare(topologyOf({ queues: [{ name: own, durable: true, type: 'quorum' }] }))
    const inbox = await collect(broker, own, 10)
    await direct.deleteQueue(own)
    await eventually(async () => expect(await direct.queueInfo(own)).toMatchObject({ consumers: 1 }))
    await direct.publish(to(own), textMessage('again'))
    await inbox.has(1)
    await broker.deleteQueue(own)
  })

  it('gives up a handshake that is never answered, and gets in later', async () => {
    proxy.blackHole = true
    const broker = open({ connectTimeoutMs: 300 })
    await eventually(() => expect(broker.state().reason).toContain('handshake'))
    expect(broker.state().connected).toBe(false)
    const waiting = broker.publish(to(queue), textMessage('patient'))
    proxy.blackHole = false
    await waiting
    expect(broker.state().connected).toBe(true)
    expect(proxy.connections).toBeGreaterThanOrEqual(3)
  })

  it('gives up on a confirm that does not come, and on a connection that does not come back', async () => {
    const broker = open({ confirmTimeoutMs: 400, heartbeatSeconds: 1 })
    await broker.publish(to(queue), textMessage('first'))
    proxy.blackHole = true
    const sent = broker.publish(to(queue), textMessage('swallowed'))
    // Long before the time for a confirm is over, the connection is given up for its silence.
    await expect(sent).rejects.toMatchObject({ code: 'CONNECTION_LOST', mayBeStored: true })
    expect(broker.state().unconfirmed).toBe(0)
    expect(log).toContainEqual({ event: 'publisher.set_apart', fields: { destination: `queue ${queue}` } })
    proxy.refuse = true
    // Two heartbeats missed: the silent connection is noticed.
    const lost = () =>
      log.filter(({ event }) => event === 'broker.disconnected').map(({ fields }) => fields.role)
    await eventually(() => expect(new Set(lost())).toEqual(new Set(['consume', 'publish'])))
    await expect(broker.publish(to(queue), textMessage('x'))).rejects.toMatchObject({
      code: 'CONFIRM_TIMEOUT',
    })
    await expect(broker.queueInfo(queue)).rejects.toMatchObject({
      code: 'NOT_CONNECTED',
      hint: expect.any(String),
    })
    proxy.blackHole = false
    proxy.refuse = false
    await eventually(() => expect(broker.state()).toMatchObject({ connected: true, unconfirmed: 0 }))
    await broker.publish(to(queue), textMessage('last'))
  })

  it('rejects what a cut caught between sending and confirm', async () => {
    const broker = open()
    await broker.publish(to(queue), textMessage('first'))
    proxy.blackHole = true
    const caught = Promise.allSettled([1, 2, 3].map((n) => broker.publish(to(queue), textMessage(`${n}`))))
    await sleep(50)
    proxy.reset()
    proxy.blackHole = false
    for (const result of await caught) expect(result).toMatchObject({ reason: { code: 'CONNECTION_LOST' } })
    await broker.publish(to(queue), textMessage('last'))
  })

  it('reads and writes frames that arrive in slices of three bytes', async () => {
    const broker = open()
    const inbox = await collect(broker, queue, 10)
    proxy.sliceBytes = 3
    const headers = { long: 'x'.repeat(20_000) }
    const body = Buffer.alloc(100_000, 'körper')
    await broker.publish(to(queue), { body, headers })
    await inbox.has(1)
    expect(inbox.deliveries[0]!.message.body.equals(body)).toBe(true)
    expect(inbox.deliveries[0]!.message.headers.long).toBe(headers.long)
  })

  it('counts what the broker refuses: a full queue that rejects', async () => {
    const small = uniqueName('small')
    const args = { 'x-max-length': 10, 'x-overflow': 'reject-publish' }
    await direct.declare(
      topologyOf({ queues: [{ name: small, durable: true, type: 'plain', arguments: args }] }),
    )
    const sent = await Promise.allSettled(
      Array.from({ length: 200 }, (_, i) => direct.publish(to(small), textMessage(`${i}`))),
    )
    const refused = sent.filter((result) => result.status === 'rejected')
    expect(refused).toHaveLength(190)
    for (const result of refused) expect(result.reason).toMatchObject({ code: 'NACKED' })
    await direct.deleteQueue(small)
  })

  it('finds the one publication that RabbitMQ cannot accept and delivers the others', async () => {
    const sent = await Promise.allSettled([
      ...Array.from({ length: 20 }, (_, i) => direct.publish(to(queue), textMessage(`before ${i}`))),
      direct.publish(to(queue), textMessage('guilty', { expiration: 'soon' })),
      ...Array.from({ length: 20 }, (_, i) => direct.publish(to(queue), textMessage(`after ${i}`))),
    ])
    const refused = sent.filter((result) => result.status === 'rejected')
    expect(refused).toHaveLength(1)
    expect(refused[0]!.reason).toMatchObject({
      code: 'NACKED',
      message: expect.stringContaining('expiration'),
    })
    await direct.publish(to(queue), textMessage('last'))
    const inbox = await collect(direct, queue, 100)
    await eventually(() => expect(new Set(inbox.texts()).size).toBe(41))
  })

  it('refuses a message that AMQP cannot carry, and only that one', async () => {
    const headers = { odd: Number.NaN }
    const sent = direct.publish(to(queue), textMessage('x', { headers }))
    await expect(sent).rejects.toMatchObject({ code: 'MESSAGE_INVALID' })
    await direct.publish(to(queue), textMessage('y'))
    expect((await take(direct, queue)).message.body.toString()).toBe('y')
  })

  it('never has more in flight than allowed, by number or by bytes', async () => {
    const byNumber = open({ maxInFlight: 10 })
    const byBytes = open({ maxInFlightBytes: 5000 })
    const most = { byNumber: 0, byBytes: 0 }
    const sent = Array.from({ length: 500 }, async () => {
      await Promise.all([
        byNumber.publish(to(queue), textMessage('x')),
        byBytes.publish(to(queue), { body: Buffer.alloc(1000), headers: {} }),
      ])
      most.byNumber = Math.max(most.byNumber, byNumber.state().unconfirmed)
      most.byBytes = Math.max(most.byBytes, byBytes.state().unconfirmed)
    })
    await Promise.all(sent)
    expect(most.byNumber).toBeLessThanOrEqual(10)
    expect(most.byBytes).toBeLessThanOrEqual(5)
    await byBytes.publish(to(queue), { body: Buffer.alloc(50_000), headers: {} })
  })

  it('holds publications back while the broker is short of memory', async () => {
    const broker = open()
    await broker.publish(to(queue), textMessage('before'))
    const text = Buffer.from('low on memory')
    proxy.inject(methodFrame(Buffer.from([0, 10, 0, 60, text.length, ...text])))
    await eventually(() => expect(broker.state()).toMatchObject({ connected: true, blocked: true }))
    let confirmed = false
    const held = broker.publish(to(queue), textMessage('held')).then(() => {
      confirmed = true
    })
    expect(broker.state().unconfirmed).toBe(0)
    // Sleeps, because what must not come cannot be waited for.
    await sleep(100)
    expect(confirmed).toBe(false)
    expect(await direct.queueInfo(queue)).toMatchObject({ messages: 1 })
    proxy.inject(methodFrame(Buffer.from([0, 10, 0, 61])))
    await held
    expect(broker.state().blocked).toBe(false)
  })

  it('shows a password neither in its state, nor in errors, nor in logs', async () => {
    const url = new URL(proxy.url)
    url.username = 'nobody'
    url.password = 'hush-hush'
    const broker = open({ url: url.href, confirmTimeoutMs: 300 })
    await eventually(() => expect(broker.state().reason).toContain('ACCESS_REFUSED'))
    const error = await broker.queueInfo(queue).catch((caught: unknown) => caught as Error)
    expect(`${JSON.stringify(broker.state())} ${loggedText()} ${String(error)}`).not.toContain('hush')
    expect(loggedText()).toContain('nobody:***@')
  })

  it('goes round its addresses until one answers', async () => {
    const broker = open({ url: ['amqp://127.0.0.1:1', proxy.url] })
    await broker.publish(to(queue), textMessage('x'))
    expect(broker.state()).toMatchObject({ connected: true, reconnects: 0 })
  })

  it('closes in bounded time when the network swallows everything', async () => {
    const broker = open({ closeTimeoutMs: 500 })
    await collect(broker, queue, 10)
    await broker.publish(to(queue), textMessage('first'))
    proxy.blackHole = true
    const swallowed = expect(broker.publish(to(queue), textMessage('x'))).rejects.toMatchObject({
      code: 'CONNECTION_LOST',
    })
    const began = Date.now()
    await broker.close()
    await swallowed
    expect(Date.now() - began).toBeLessThan(5000)
  })

  it('does not send what was withdrawn while there was no connection', async () => {
    proxy.refuse = true
    const broker = open()
    await eventually(() => expect(broker.state().reason).not.toBe('not connected yet'))
    const withdrawn = new AbortController()
    const first = broker.publish(to(queue), textMessage('withdrawn'), { signal: withdrawn.signal })
    const second = broker.publish(to(queue), textMessage('kept'))
    withdrawn.abort()
    proxy.refuse = false
    await expect(first).rejects.toMatchObject({ code: 'WITHDRAWN' })
    await second
    const delivery = await direct.get(queue)
    expect(delivery?.message.body.toString()).toBe('kept')
    delivery?.ack()
    expect(await direct.get(queue)).toBeUndefined()
  })

  it('closes soon while there is no connection', async () => {
    proxy.refuse = true
    const broker = open()
    const consuming = expect(broker.consume(queue, { prefetch: 1 }, () => {})).rejects.toMatchObject({
      code: 'BROKER_CLOSED',
    })
    await eventually(() => expect(broker.state().reason).not.toBe('not connected yet'))
    const began = Date.now()
    await broker.close()
    await consuming
    expect(Date.now() - began).toBeLessThan(1000)
    await expect(broker.publish(to(queue), textMessage('x'))).rejects.toMatchObject({ code: 'BROKER_CLOSED' })
  })
})

/** A method on channel 0: https://www.rabbitmq.com/docs/connection-blocked and section 4.2.3 of the AMQP 0-9-1 specification. */
function methodFrame(payload: Buffer): Buffer {
  const header = Buffer.alloc(7)
  header.writeUInt8(1, 0)
  header.writeUInt32BE(payload.length, 3)
  return Buffer.concat([header, payload, Buffer.from([0xce])])
}
