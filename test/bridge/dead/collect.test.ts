import { randomUUID } from 'node:crypto'
import { describe, expect, it, onTestFinished } from 'vitest'
import { movedMessage } from '../../../src/bridge/commands/aside.ts'
import { requestHash } from '../../../src/bridge/commands/ledger.ts'
import { collectDeadLetters } from '../../../src/bridge/dead/collect.ts'
import { markDead } from '../../../src/bridge/dead/headers.ts'
import { originalMessage } from '../../../src/bridge/dead/letter.ts'
import type { DeadLetterStore } from '../../../src/bridge/dead/store.ts'
import { openAmqpBroker } from '../../../src/brokers/amqp.ts'
import type { Broker, Delivery, Message } from '../../../src/brokers/broker.ts'
import { openEmbeddedBroker } from '../../../src/brokers/embedded.ts'
import { StoreError } from '../../../src/model/errors.ts'
import { deadLetterQueries } from '../../../src/stores/bound.ts'
import { openStore } from '../../../src/stores/open.ts'
import { openSealer } from '../../../src/stores/seal.ts'
import { openSecrets } from '../../../src/stores/secrets.ts'
import { eventually } from '../../conformance/broker.ts'
import { BROKERS, type BrokerKind } from '../../support/bridge.ts'
import { amqpUrl } from '../../support/engines.ts'

/** A dead letter queue of its own, a store, and as many connections to the broker as there are processes. */
async function open(kind: BrokerKind) {
  const store = await openStore('sqlite::memory:', { now: Date.now })
  const key = `k1:${Buffer.alloc(32, 1).toString('base64')}`
  const secrets = await openSecrets(store.db, openSealer({ keys: key }), Date.now)
  const connect = async (): Promise<Broker> =>
    kind === 'embedded'
      ? openEmbeddedBroker({ db: store.db, now: Date.now, takeOver: false, pollMs: 20 })
      : openAmqpBroker({ url: amqpUrl!, name: 'b24-test', random: Math.random, now: Date.now })
  const broker = await connect()
  const queue = `b24.test.dead.${randomUUID()}`
  const queues = [{ name: queue, durable: true, type: 'quorum' as const }]
  await broker.declare({ mode: 'declare', exchanges: [], queues, bindings: [] })
  onTestFinished(async () => {
    await broker.deleteQueue(queue)
    await broker.close()
    await store.close()
  })
  const letters = deadLetterQueries(store, secrets)
  const logged: string[] = []
  const place = (id: string) => ({ table: 'dead_letter_queue', row: id, column: 'headers' })
  return {
    broker,
    connect,
    queue,
    letters,
    logged,
    put: (message: Partial<Message>) =>
      broker.publish({ exchange: '', routingKey: queue }, { body: Buffer.alloc(0), headers: {}, ...message }),
    mark: (message: Message, delivery: Partial<Delivery> = {}, reason = 'BODY_NOT_JSON') =>
      markDead(
        message,
        { kind: 'command', reason, description: 'It says auth=marked.', attempts: 2, contract: 'native' },
        { message, queue: 'commands', deliveryCount: 0, ...delivery } as Delivery,
        {
          now: 1000,
          newId: randomUUID,
          hash: requestHash,
          seal: (id, text) => secrets.seal(place(id), text),
        },
      ),
    collect(by: Broker = broker, store: Pick<DeadLetterStore, 'insert'> = letters) {
      return collectDeadLetters({
        broker: by,
        queue,
        store,
        open(id, sealed) {
          try {
            return secrets.open(place(id), sealed)
          } catch {
            return undefined
          }
        },
        commands: {
          queue: 'commands',
          isCommandQueue: (name) => name.startsWith('commands'),
          answerExpired: () => false,
        },
        now: Date.now,
        newId: randomUUID,
        log: (event) => logged.push(event),
      })
    },
    async all() {
      const page = await letters.list({}, { limit: 100, order: 'oldest' })
      return page.letters
    },
    drained: () =>
      eventually(async () => expect(await broker.queueInfo(queue)).toMatchObject({ messages: 0 }), 10_000),
  }
}

for (const { name, kind, skip } of BROKERS) {
  describe.skipIf(skip)(`the collector ${name}`, () => {
    it('keeps a message with all its properties, its secrets sealed and its lifetime laid aside', async () => {
      const bench = await open(kind)
      const original: Message = {
        body: Buffer.from([0xff, 0x00, 0x7b]),
        headers: {
          token: 'marked-token',
          method: 'crm.deal.add',
          n: 7,
          inner: { a: [1, true, null] },
          b: Buffer.from('x'),
        },
        messageId: 'm-1',
        correlationId: 'c-1',
        replyTo: 'answers',
        contentType: 'application/json',
        expiration: '1',
        timestamp: 1_700_000_000,
        priority: 3,
        appId: 'shop',
        type: 'order',
        persistent: true,
      }
      const marked = bench.mark(original)
      expect(marked.expiration).toBeUndefined()
      expect(JSON.stringify(marked)).not.toContain('marked')
      await bench.put(marked)
      const collector = bench.collect()
      await eventually(async () => expect(await bench.all()).toHaveLength(1))
      await collector.stop()
      const [letter] = await bench.all()
      expect(letter).toMatchObject({
        kind: 'command',
        reason: 'BODY_NOT_JSON',
        description: 'It says auth=•••',
        queue: 'commands',
        target: { exchange: '', routingKey: 'commands' },
        method: 'crm.deal.add',
        messageId: 'm-1',
        attempts: 2,
        bytes: 3,
        sentAt: 1_700_000_000_000,
        diedAt: 1000,
      })
      expect(originalMessage((await bench.letters.content(letter!.id))!)).toEqual(original)
      expect(await bench.broker.queueInfo(bench.queue)).toMatchObject({ messages: 0 })
    })

    it('takes a message that died on a queue of ours beside the command queue for one of the command queue', async () => {
      const bench = await open(kind)
      const original = { body: Buffer.from('{}'), headers: { mine: 1 }, messageId: 'm-1' }
      const { headers, ...moved } = movedMessage({ ...original, expiration: '5000' }, 1000)
      const death = { queue: 'commands.lane.a.example', reason: 'delivery_limit', count: 1 }
      await bench.put({ ...moved, headers: { ...headers, 'x-death': [death] } })
      const collector = bench.collect()
      await eventually(async () => expect(await bench.all()).toHaveLength(1))
      await collector.stop()
      const [letter] = await bench.all()
      expect(letter).toMatchObject({
        reason: 'DELIVERY_LIMIT',
        queue: 'commands',
        target: { routingKey: 'commands' },
      })
      const message = originalMessage((await bench.letters.content(letter!.id))!)
      expect(message).toMatchObject({ ...original, expiration: '5000' })
      expect(message.headers).toEqual({ mine: 1 })
    })

    it('keeps one letter when it is cut off between storing and acknowledging', async () => {
      const bench = await open(kind)
      await bench.put(bench.mark({ body: Buffer.from('a'), headers: {}, messageId: 'm-1' }))
      await bench.put({ body: Buffer.from('of somebody else'), headers: { a: 1 } })
      const dying = await bench.connect()
      let stored = 0
      bench.collect(dying, {
        async insert(letter, content) {
          await bench.letters.insert(letter, content)
          stored++
          // The process ends here: it never comes to the acknowledgement.
          return new Promise(() => undefined)
        },
      })
      await eventually(() => expect(stored).toBe(2))
      await dying.close()
      expect(await bench.all()).toHaveLength(2)
      const collector = bench.collect()
      await bench.drained()
      await collector.stop()
      expect(await bench.all()).toHaveLength(2)
    })

    it('leaves letters in the queue while the store is away, and has each once afterwards', async () => {
      const bench = await open(kind)
      let away = true
      const collector = bench.collect(bench.broker, {
        async insert(letter, content) {
          if (away) throw new StoreError('STORE_UNAVAILABLE', 'The store is away')
          return bench.letters.insert(letter, content)
        },
      })
      for (let i = 0; i < 12; i++) await bench.put(bench.mark({ body: Buffer.from(`${i}`), headers: {} }))
      await eventually(() => expect(bench.logged).toContain('dead.unstored'))
      await collector.stop()
      away = false
      expect(await bench.all()).toEqual([])
      await eventually(async () =>
        expect(await bench.broker.queueInfo(bench.queue)).toMatchObject({ messages: 12 }),
      )
      const again = bench.collect()
      await bench.drained()
      await again.stop()
      expect(await bench.all()).toHaveLength(12)
    })

    it('shares the work with other processes, and nothing is there twice or lost', async () => {
      const bench = await open(kind)
      const others = await Promise.all([bench.connect(), bench.connect()])
      const collectors = [bench.broker, ...others].map((one) => bench.collect(one))
      await Promise.all(Array.from({ length: 60 }, (_, i) => bench.put({ body: Buffer.from(`${i}`) })))
      await eventually(async () => expect(await bench.all()).toHaveLength(60), 10_000)
      await bench.drained()
      for (const collector of collectors) await collector.stop()
      for (const other of others) await other.close()
      const bodies = await Promise.all((await bench.all()).map(({ id }) => bench.letters.content(id)))
      expect(new Set(bodies.map((one) => one!.body.toString())).size).toBe(60)
    })

    it('tells the same death written twice from a command that died again', async () => {
      const bench = await open(kind)
      const message = { body: Buffer.from('a'), headers: {}, messageId: 'm-1' }
      const collector = bench.collect()
      await bench.put(bench.mark(message))
      await bench.put(bench.mark(message))
      await bench.drained()
      await eventually(async () => expect(await bench.all()).toHaveLength(1))
      const [first] = await bench.all()
      await bench.letters.settle(first!.id, true)
      // It went out again, and came back: the letter that it was stands in its headers.
      const again = { ...message, headers: { 'x-b24-dead-retry': first!.id } }
      await bench.put(bench.mark(again))
      await eventually(async () => expect(await bench.all()).toHaveLength(2))
      // And its sender sent it once more by himself.
      await bench.put(bench.mark(message))
      await eventually(async () => expect(await bench.all()).toHaveLength(3))
      await collector.stop()
      const all = await bench.all()
      expect(all.filter(({ retryOf }) => retryOf === first!.id)).toHaveLength(1)
      expect(new Set(all.map(({ id }) => id)).size).toBe(3)
    })

    it('keeps what others put there, equal messages each for itself, and never fails on rubbish', async () => {
      const bench = await open(kind)
      const death = { reason: 'delivery_limit', queue: 'orders', count: 21, exchange: 'shop' }
      const collector = bench.collect()
      await bench.put({
        body: Buffer.from('{"portal":"A.bitrix24.com","method":"crm.Deal.add"}'),
        headers: { 'x-death': [death] },
      })
      await bench.put({ body: Buffer.from('twin') })
      await bench.put({ body: Buffer.from('twin') })
      await bench.put({ headers: { 'x-death': 'no list', 'x-b24-dead-at': 'soon', 'x-b24-dead-id': 7 } })
      await bench.put({ headers: { 'x-b24-reason': 'A\u0000B'.repeat(60), 'x-b24-dead-sealed': 'broken' } })
      await eventually(async () => expect(await bench.all()).toHaveLength(5))
      await collector.stop()
      const all = await bench.all()
      expect(all.find(({ queue }) => queue === 'orders')).toMatchObject({
        kind: 'foreign',
        reason: 'DELIVERY_LIMIT',
        portal: 'a.bitrix24.com',
        method: 'crm.deal.add',
        target: { exchange: '', routingKey: 'orders' },
        deliveries: 21,
      })
      expect(all.filter(({ reason }) => reason === 'FOREIGN')).toHaveLength(3)
      expect(all.find(({ kind }) => kind === 'command')?.reason).toMatch(/^(?:A\?B)+A?\??$/)
    })

    it('waits for a queue that is not there yet', async () => {
      const bench = await open(kind)
      await bench.broker.deleteQueue(bench.queue)
      const collector = bench.collect()
      await eventually(() => expect(bench.logged).toEqual(['dead.unread']))
      await collector.stop()
      await collector.stop()
    })
  })
}

it.skipIf(amqpUrl === undefined)(
  'the collector knows from RabbitMQ why a message was dead-lettered by a policy, and from where',
  async () => {
    const bench = await open('amqp')
    const source = `${bench.queue}.source`
    const dies = {
      'x-message-ttl': 1,
      'x-dead-letter-exchange': '',
      'x-dead-letter-routing-key': bench.queue,
    }
    await bench.broker.declare({
      mode: 'declare',
      exchanges: [],
      queues: [{ name: source, durable: true, type: 'plain', arguments: dies }],
      bindings: [],
    })
    const before = Date.now()
    const headers = { token: 'marked-token', method: 'crm.deal.get', note: 'mine' }
    await bench.broker.publish(
      { exchange: '', routingKey: source },
      { body: Buffer.from('{"id":7}'), headers, messageId: 'm-1' },
    )
    const collector = bench.collect()
    await eventually(async () => expect(await bench.all()).toHaveLength(1))
    await collector.stop()
    await bench.broker.deleteQueue(source)
    const [letter] = await bench.all()
    expect(letter).toMatchObject({
      kind: 'foreign',
      reason: 'EXPIRED',
      queue: source,
      method: 'crm.deal.get',
      target: { exchange: '', routingKey: source },
      deliveries: 1,
    })
    // AMQP counts seconds.
    expect(letter!.diedAt).toBeGreaterThanOrEqual(before - 1000)
    expect(letter!.diedAt).toBeLessThanOrEqual(Date.now() + 1000)
    const content = (await bench.letters.content(letter!.id))!
    expect(content.properties).not.toContain('marked-token')
    expect(originalMessage(content)).toMatchObject({ messageId: 'm-1', headers })
    expect(Object.keys(originalMessage(content).headers).sort()).toEqual(['method', 'note', 'token'])
  },
)
