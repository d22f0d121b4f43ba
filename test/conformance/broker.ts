import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Broker, Delivery, HeaderValue, Message, QueueSpec, Topology } from '../../src/brokers/broker.ts'

/** How the suite reaches a driver. */
export interface BrokerHarness {
  /** A new broker over the same messages each time. */
  open(): Broker | Promise<Broker>
  /** After all tests of a block. */
  cleanup?(): Promise<void>
}

/** Where drivers may differ. */
export interface BrokerSwitches {
  /** Says so at the end of the title; with `skip` none of the tests runs. */
  readonly note?: string
  readonly skip?: boolean
  readonly queueType: QueueSpec['type']
  /** Ready messages go out by priority. */
  readonly priorities: boolean
}

/** What every broker does, as `src/brokers/broker.ts` promises it. */
export function brokerConformance(name: string, harness: BrokerHarness, switches: BrokerSwitches): void {
  describe.skipIf(switches.skip)(`${name} as a broker${switches.note ?? ''}`, () => {
    let broker: Broker
    let queue: string
    let exchange: string
    let extraQueues: string[]

    beforeEach(async () => {
      broker = await harness.open()
      queue = uniqueName('queue')
      exchange = uniqueName('exchange')
      extraQueues = []
    })

    afterEach(async () => {
      await broker.close()
      const cleaner = await harness.open()
      for (const each of [queue, ...extraQueues]) await cleaner.deleteQueue(each)
      await cleaner.deleteExchange(exchange)
      await cleaner.close()
    })

    const makeQueue = (queueName = queue) =>
      broker.declare(topologyOf({ queues: [{ name: queueName, durable: true, type: switches.queueType }] }))
    const send = (body: string, more: Partial<Message> = {}) =>
      broker.publish({ exchange: '', routingKey: queue }, textMessage(body, more))

    it('hands out what was published, in order, with every property', async () => {
      await makeQueue()
      const properties: Partial<Message> = {
        messageId: 'id-1',
        correlationId: 'corr',
        replyTo: 'replies',
        contentType: 'application/json',
        contentEncoding: 'utf-8',
        timestamp: 1_700_000_000,
        appId: 'shop',
        type: 'command',
      }
      await send('first', properties)
      for (let i = 0; i < 50; i++) await send(`next ${i}`)
      const inbox = await collect(broker, queue, 100)
      await inbox.has(51)
      expect(inbox.texts()).toEqual(['first', ...Array.from({ length: 50 }, (_, i) => `next ${i}`)])
      const [first] = inbox.deliveries
      expect(first).toMatchObject({
        queue,
        exchange: '',
        routingKey: queue,
        redelivered: false,
        deliveryCount: 0,
      })
      expect(first!.message).toMatchObject(properties)
    })

    it('keeps headers of all types', async () => {
      await makeQueue()
      const headers: Record<string, HeaderValue> = {
        text: 'строка',
        empty: '',
        zero: 0,
        small: -5,
        big: 2 ** 40,
        fraction: 1.5,
        yes: true,
        no: false,
        nothing: null,
        bytes: Buffer.from([0, 255, 1]),
        list: ['a', 1, [true, null]],
        table: { deep: { deeper: 'x' }, n: 7 },
      }
      await send('x', { headers })
      const delivery = await take(broker, queue)
      // Quorum queues add their count.
      const { 'x-delivery-count': _, ...received } = delivery.message.headers
      expect(received).toEqual(headers)
      delivery.ack()
    })

    it('carries an empty body and one of 4 MB', async () => {
      await makeQueue()
      const large = Buffer.alloc(4 * 1024 * 1024, 'bitrix')
      await broker.publish({ exchange: '', routingKey: queue }, { body: Buffer.alloc(0), headers: {} })
      await broker.publish({ exchange: '', routingKey: queue }, { body: large, headers: {} })
      const inbox = await collect(broker, queue, 10)
      await inbox.has(2)
      expect(inbox.deliveries[0]!.message.body).toHaveLength(0)
      expect(inbox.deliveries[1]!.message.body.equals(large)).toBe(true)
    })

    it('keeps messages when the program ends', async () => {
      await makeQueue()
      await send('kept')
      await broker.close()
      broker = await harness.open()
      const delivery = await take(broker, queue)
      expect(delivery.message.body.toString()).toBe('kept')
      expect(delivery.redelivered).toBe(false)
      delivery.ack()
    })

    it('hands an unsettled message out again when the program ends, marked as redelivered', async () => {
      await makeQueue()
      await send('unsettled')
      const inbox = await collect(broker, queue, 10, { ack: false })
      await inbox.has(1)
      await broker.close()
      broker = await harness.open()
      const again = await take(broker, queue)
      expect(again.redelivered).toBe(true)
      expect(again.deliveryCount).toBeGreaterThanOrEqual(1)
      again.ack()
    })

    it('never has more out than the prefetch', async () => {
      await makeQueue()
      for (let i = 0; i < 20; i++) await send(`${i}`)
      const inbox = await collect(broker, queue, 4, { ack: false })
      await inbox.has(4)
      // Sleeps, because what must not come cannot be waited for.
      await sleep(150)
      expect(inbox.deliveries).toHaveLength(4)
      inbox.deliveries[2]!.ack()
      inbox.deliveries[0]!.ack()
      await inbox.has(6)
      await sleep(150)
      expect(inbox.texts()).toEqual(['0', '1', '2', '3', '4', '5'])
    })

    it('settles each delivery once: later acks and requeues do nothing', async () => {
      await makeQueue()
      await send('one')
      await send('two')
      const one = await take(broker, queue)
      one.ack()
      one.ack()
      one.requeue()
      const two = await take(broker, queue)
      two.requeue()
      two.ack()
      two.requeue()
      const again = await take(broker, queue)
      expect(again.message.body.toString()).toBe('two')
      again.ack()
      expect(await broker.get(queue)).toBeUndefined()
      await send('still alive')
      expect((await take(broker, queue)).message.body.toString()).toBe('still alive')
    })

    it('acknowledges in any order and forgets nothing', async () => {
      await makeQueue()
      await Promise.all(Array.from({ length: 200 }, (_, i) => send(`${i}`)))
      const inbox = await collect(broker, queue, 200, { ack: false })
      await inbox.has(200)
      const shuffled = inbox.deliveries
        .map((delivery, i) => ({ delivery, at: (i * 79) % 200 }))
        .sort((a, b) => a.at - b.at)
      for (const [i, { delivery }] of shuffled.entries()) {
        if (i % 10 === 0) delivery.requeue()
        else delivery.ack()
        if (i % 17 === 0) await sleep(1)
      }
      await inbox.has(220)
      for (const delivery of inbox.deliveries.slice(200)) {
        expect(delivery.redelivered).toBe(true)
        delivery.ack()
      }
      await inbox.stop()
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 0, consumers: 0 }),
      )
      await broker.close()
      broker = await harness.open()
      expect(await broker.get(queue)).toBeUndefined()
    })

    it('returns a message that no queue receives', async () => {
      await makeQueue()
      const nowhere = { exchange: '', routingKey: uniqueName('nowhere') }
      const sent = await Promise.allSettled([
        send('kept 1'),
        broker.publish(nowhere, textMessage('lost', { messageId: 'same' })),
        send('kept 2', { messageId: 'same' }),
        broker.publish(nowhere, textMessage('lost too')),
      ])
      expect(sent.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected'])
      expect(sent[1]).toMatchObject({ reason: { code: 'UNROUTABLE', hint: expect.any(String) } })
      expect(await broker.queueInfo(queue)).toMatchObject({ messages: 2 })
    })

    it('refuses a publication to a missing exchange and spares the others', async () => {
      await makeQueue()
      const results = await Promise.allSettled([
        send('before'),
        broker.publish({ exchange, routingKey: 'x' }, textMessage('lost')),
        send('after'),
        broker.publish({ exchange, routingKey: 'x' }, textMessage('lost too')),
        send('last'),
      ])
      expect(results.map((result) => result.status)).toEqual([
        'fulfilled',
        'rejected',
        'fulfilled',
        'rejected',
        'fulfilled',
      ])
      expect(results[1]).toMatchObject({ reason: { code: 'EXCHANGE_MISSING' } })
      expect(results[3]).toMatchObject({ reason: { code: 'EXCHANGE_MISSING' } })
      const inbox = await collect(broker, queue, 10)
      await inbox.has(3)
      expect([...new Set(inbox.texts())]).toEqual(['before', 'after', 'last'])
    })

    it('routes by topic, each queue once', async () => {
      const other = uniqueName('queue')
      extraQueues.push(other)
      await broker.declare({
        mode: 'declare',
        exchanges: [{ name: exchange, type: 'topic', durable: true }],
        queues: [queue, other].map((each) => ({ name: each, durable: true, type: switches.queueType })),
        bindings: [
          { queue, exchange, routingKey: 'deal.*' },
          { queue, exchange, routingKey: 'deal.#' },
          { queue: other, exchange, routingKey: '#.add' },
        ],
      })
      for (const key of ['deal.add', 'deal.update.now', 'lead.add', 'deal']) {
        await broker.publish({ exchange, routingKey: key }, textMessage(key))
      }
      const unheard = broker.publish({ exchange, routingKey: 'lead.update' }, textMessage('nobody'))
      await expect(unheard).rejects.toMatchObject({ code: 'UNROUTABLE' })
      const here = await collect(broker, queue, 10)
      const there = await collect(broker, other, 10)
      await here.has(3)
      await there.has(2)
      expect(here.texts()).toEqual(['deal.add', 'deal.update.now', 'deal'])
      expect(there.texts()).toEqual(['deal.add', 'lead.add'])
      expect(here.deliveries[0]).toMatchObject({ exchange, routingKey: 'deal.add' })
    })

    it('routes by fanout and by direct exchanges', async () => {
      await makeQueue()
      for (const type of ['fanout', 'direct'] as const) {
        await broker.deleteExchange(exchange)
        await broker.declare(
          topologyOf({
            exchanges: [{ name: exchange, type, durable: true }],
            bindings: [{ queue, exchange, routingKey: 'key' }],
          }),
        )
        expect(await broker.exchangeExists(exchange)).toBe(true)
        await broker.publish({ exchange, routingKey: 'key' }, textMessage(type))
        const elsewhere = broker.publish({ exchange, routingKey: 'other' }, textMessage(`${type} other`))
        if (type === 'fanout') await elsewhere
        else await expect(elsewhere).rejects.toMatchObject({ code: 'UNROUTABLE' })
      }
      const inbox = await collect(broker, queue, 10)
      await inbox.has(3)
      expect(inbox.texts()).toEqual(['fanout', 'fanout other', 'direct'])
    })

    it('declares twice without harm and refuses other settings', async () => {
      await makeQueue()
      await makeQueue()
      const other: QueueSpec = {
        name: queue,
        durable: true,
        type: switches.queueType,
        arguments: { 'x-max-length': 5 },
      }
      await expect(broker.declare(topologyOf({ queues: [other] }))).rejects.toMatchObject({
        code: 'TOPOLOGY_MISMATCH',
        hint: expect.any(String),
      })
      await send('still usable')
      expect(await broker.queueInfo(queue)).toMatchObject({ messages: 1 })
    })

    it('checks a passive topology and makes nothing', async () => {
      const asked: Topology = {
        mode: 'passive',
        exchanges: [],
        queues: [{ name: queue, durable: true, type: 'plain' }],
        bindings: [],
      }
      await expect(broker.declare(asked)).rejects.toMatchObject({
        code: 'QUEUE_MISSING',
        hint: expect.any(String),
      })
      const exchanges = [{ name: exchange, type: 'topic' as const, durable: true }]
      const missing = broker.declare({ ...asked, queues: [], exchanges })
      await expect(missing).rejects.toMatchObject({ code: 'EXCHANGE_MISSING' })
      expect(await broker.queueInfo(queue)).toBeUndefined()
      expect(await broker.exchangeExists(exchange)).toBe(false)
      await makeQueue()
      await broker.declare(asked)
      await broker.declare({
        ...asked,
        mode: 'off',
        queues: [{ name: uniqueName('none'), durable: true, type: 'plain' }],
      })
    })

    it('refuses to consume, purge or read a queue that is not there', async () => {
      await expect(broker.consume(queue, { prefetch: 1 }, () => {})).rejects.toMatchObject({
        code: 'QUEUE_MISSING',
      })
      await expect(broker.purge(queue)).rejects.toMatchObject({ code: 'QUEUE_MISSING' })
      await expect(broker.get(queue)).rejects.toMatchObject({ code: 'QUEUE_MISSING' })
      await broker.deleteQueue(queue)
      await broker.deleteExchange(exchange)
    })

    it('counts, purges and deletes', async () => {
      await makeQueue()
      for (let i = 0; i < 3; i++) await send(`${i}`)
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 3, consumers: 0 }),
      )
      const inbox = await collect(broker, queue, 1, { ack: false })
      await inbox.has(1)
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 2, consumers: 1 }),
      )
      expect(await broker.purge(queue)).toBe(2)
      inbox.deliveries[0]!.ack()
      await inbox.stop()
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 0, consumers: 0 }),
      )
      await broker.deleteQueue(queue)
      expect(await broker.queueInfo(queue)).toBeUndefined()
    })

    it('stops a consumer whose deliveries can still be settled', async () => {
      await makeQueue()
      for (let i = 0; i < 6; i++) await send(`${i}`)
      const inbox = await collect(broker, queue, 3, { ack: false })
      await inbox.has(3)
      await inbox.stop()
      await inbox.stop()
      for (const delivery of inbox.deliveries) delivery.ack()
      await send('6')
      // Sleeps, because what must not come cannot be waited for.
      await sleep(100)
      expect(inbox.deliveries).toHaveLength(3)
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 4, consumers: 0 }),
      )
      const rest = await collect(broker, queue, 10)
      await rest.has(4)
      expect(rest.texts()).toEqual(['3', '4', '5', '6'])
      expect(rest.deliveries.map((delivery) => delivery.redelivered)).toEqual([false, false, false, false])
    })

    it('hands back in order, and before all that comes later, what a consumer had out when it was abandoned', async () => {
      await makeQueue()
      for (let number = 0; number < 30; number++) await send(`${number}`)
      const first = await collect(broker, queue, 10, { ack: false })
      await first.has(10)
      first.deliveries[0]!.ack()
      await first.has(11)
      await first.abandon()
      const second = await collect(broker, queue, 50)
      await second.has(29)
      expect(second.texts()).toEqual(Array.from({ length: 29 }, (_, at) => `${at + 1}`))
      first.deliveries[1]!.ack()
      first.deliveries[2]!.requeue()
      await first.stop()
      expect((await broker.queueInfo(queue))?.messages).toBe(0)
    })

    it('consumes again when its queue was deleted and made anew', async () => {
      await makeQueue()
      const inbox = await collect(broker, queue, 10, { ack: false })
      await send('before')
      await inbox.has(1)
      await broker.deleteQueue(queue)
      await makeQueue()
      await send('after')
      await inbox.has(2)
      for (const delivery of inbox.deliveries) delivery.ack()
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 0, consumers: 1 }),
      )
    })

    it('survives a handler that throws, and hands the message out again', async () => {
      await makeQueue()
      await send('x')
      let calls = 0
      const seen = new Promise<Delivery>((resolve) => {
        void broker.consume(queue, { prefetch: 1 }, (delivery) => {
          if (++calls === 1) throw new Error('a mistake of ours')
          resolve(delivery)
        })
      })
      const again = await seen
      expect(again.redelivered).toBe(true)
      again.ack()
    })

    it('waits for confirms when it closes, and takes nothing afterwards', async () => {
      await makeQueue()
      const sent = Array.from({ length: 300 }, (_, i) => send(`${i}`))
      const closed = broker.close()
      await expect(send('late')).rejects.toMatchObject({ code: 'BROKER_CLOSED' })
      await Promise.all(sent)
      await closed
      await broker.close()
      expect(broker.state().connected).toBe(false)
      broker = await harness.open()
      expect(await broker.queueInfo(queue)).toMatchObject({ messages: 300 })
    })

    it('lets acknowledgements out that follow a confirm during its close', async () => {
      await makeQueue()
      await send('command')
      const delivery = await take(broker, queue)
      const replied = send('reply').then(() => delivery.ack())
      await Promise.all([replied, broker.close()])
      broker = await harness.open()
      expect((await take(broker, queue)).message.body.toString()).toBe('reply')
      expect(await broker.get(queue)).toBeUndefined()
    })

    it('says that it is connected, with nothing unconfirmed once confirmed', async () => {
      await makeQueue()
      const sent = [send('1'), send('2')]
      await Promise.all(sent)
      expect(broker.state()).toMatchObject({ connected: true, blocked: false, unconfirmed: 0, reconnects: 0 })
    })

    it('passes thousands of messages through several consumers, each once', async () => {
      await makeQueue()
      const seen = new Map<string, number>()
      const take = (delivery: Delivery) => {
        const text = delivery.message.body.toString()
        seen.set(text, (seen.get(text) ?? 0) + 1)
        setImmediate(() => delivery.ack())
      }
      await broker.consume(queue, { prefetch: 50 }, take)
      await broker.consume(queue, { prefetch: 7 }, take)
      const bodies = Array.from({ length: 5000 }, (_, i) => `${i}`)
      await Promise.all(bodies.map((body) => send(body)))
      await eventually(() => expect(seen.size).toBe(5000))
      expect([...seen.values()].every((times) => times === 1)).toBe(true)
      await eventually(async () =>
        expect(await broker.queueInfo(queue)).toEqual({ messages: 0, consumers: 2 }),
      )
    })

    it.runIf(switches.priorities)('hands out higher priorities first, then in order of arrival', async () => {
      await makeQueue()
      for (const [body, priority] of Object.entries({ low: 1, none: 0, high: 9, high2: 9 }))
        await send(body, { priority })
      const inbox = await collect(broker, queue, 10)
      await inbox.has(4)
      expect(inbox.texts()).toEqual(['high', 'high2', 'low', 'none'])
    })

    it('drops a message whose expiration has passed', async () => {
      await makeQueue()
      await send('short', { expiration: '50' })
      await send('long')
      await sleep(600)
      expect((await take(broker, queue)).message.body.toString()).toBe('long')
    })

    it('waits before it hands a delayed message out again, where it can delay', async () => {
      if (!broker.features.delayedRequeue) return
      await makeQueue()
      await send('later')
      const first = await take(broker, queue)
      const began = Date.now()
      first.requeue(400)
      expect(await broker.get(queue)).toBeUndefined()
      const inbox = await collect(broker, queue, 1)
      await inbox.has(1)
      expect(Date.now() - began).toBeGreaterThanOrEqual(390)
      expect(inbox.deliveries[0]).toMatchObject({ deliveryCount: 1, redelivered: true })
    })
  })
}

/** A name that no other test and no other run uses. */
export function uniqueName(what: string): string {
  return `b24.test.${what}.${randomUUID()}`
}

export function textMessage(body: string, more: Partial<Message> = {}): Message {
  return { body: Buffer.from(body), headers: {}, ...more }
}

export function topologyOf(parts: Partial<Topology>): Topology {
  return { mode: 'declare', exchanges: [], queues: [], bindings: [], ...parts }
}

/** Consumes a queue and keeps what comes, acknowledged at once unless said otherwise. */
export async function collect(broker: Broker, queue: string, prefetch: number, { ack = true } = {}) {
  const deliveries: Delivery[] = []
  const consumer = await broker.consume(queue, { prefetch }, (delivery) => {
    deliveries.push(delivery)
    if (ack) delivery.ack()
  })
  return {
    deliveries,
    texts: () => deliveries.map((delivery) => delivery.message.body.toString()),
    has: (count: number) => eventually(() => expect(deliveries.length).toBeGreaterThanOrEqual(count)),
    stop: () => consumer.stop(),
    abandon: () => consumer.abandon(),
  }
}

/** One message, waiting for it. */
export async function take(broker: Broker, queue: string): Promise<Delivery> {
  let delivery: Delivery | undefined
  await eventually(async () => {
    delivery ??= await broker.get(queue)
    expect(delivery).toBeDefined()
  })
  return delivery!
}

/** Repeats a check until it holds, at most ten seconds. */
export async function eventually(check: () => void | Promise<void>, withinMs = 10_000): Promise<void> {
  const end = Date.now() + withinMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (Date.now() > end) throw error
      await sleep(10)
    }
  }
}
