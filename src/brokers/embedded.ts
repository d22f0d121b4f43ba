import { randomUUID } from 'node:crypto'
import type {
  Address,
  Broker,
  BrokerFeatures,
  BrokerState,
  ConsumeOptions,
  Consumer,
  Delivery,
  Message,
  PublishOptions,
  QueueInfo,
  Topology,
} from './broker.ts'
import { EmbeddedConsumer, EmbeddedDelivery } from './embedded/consumer.ts'
import { Counter } from './embedded/counter.ts'
import { declareTopology } from './embedded/declare.ts'
import {
  countMessages,
  type EmbeddedDatabase,
  findExchange,
  leaseMessages,
  purgeMessages,
  queueExists,
  releaseLeases,
} from './embedded/queries.ts'
import { brokerClosed, queueMissing, withdrawn } from './errors.ts'

export type { EmbeddedDatabase } from './embedded/queries.ts'

export interface EmbeddedBrokerOptions {
  /** A database with the tables of `EmbeddedTables`. It stays open when the broker closes. */
  readonly db: EmbeddedDatabase
  readonly now: () => number
  /**
   * This process alone serves the database: what a crashed one had been handed is free at once. Tools that open a
   * database in use say `false`; such leases then end by time. True unless said otherwise.
   */
  readonly takeOver?: boolean
  /** How often to look for delays that ended and for messages written by other processes; 250. */
  readonly pollMs?: number
  /** For how long a message stays with a process that has given no sign of life; 60,000. */
  readonly leaseMs?: number
  readonly logger?: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/**
 * A broker in tables of a database: for a first run with nothing installed, for tests, and for programs that reach the
 * same database. Queues and messages survive a restart, whether durable or not; messages go out by priority, then in
 * order of arrival; `requeue` may delay.
 *
 * It knows direct, topic and fanout exchanges, and each message's own `expiration`. Queue arguments are kept and
 * compared but have no effect.
 */
export async function openEmbeddedBroker(options: EmbeddedBrokerOptions): Promise<Broker> {
  const broker = new EmbeddedBroker(options)
  if (options.takeOver !== false) await releaseLeases(options.db, broker.owner, true)
  broker.start()
  return broker
}

class EmbeddedBroker implements Broker {
  readonly features: BrokerFeatures = { delayedRequeue: true, network: false }
  readonly owner = randomUUID()
  readonly #db: EmbeddedDatabase
  readonly #options: EmbeddedBrokerOptions
  readonly #counter: Counter
  readonly #consumers = new Set<EmbeddedConsumer>()
  #poll: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  constructor(options: EmbeddedBrokerOptions) {
    this.#options = options
    this.#db = options.db
    this.#counter = new Counter({
      db: options.db,
      owner: this.owner,
      leaseMs: this.#leaseMs,
      now: options.now,
      logger: options.logger ?? (() => {}),
    })
  }

  get #leaseMs(): number {
    return this.#options.leaseMs ?? 60_000
  }

  start(): void {
    this.#poll = setInterval(() => this.#counter.lookAround(), this.#options.pollMs ?? 250)
  }

  state(): BrokerState {
    const reason = this.#closing === undefined ? this.#counter.reason : 'closed'
    return {
      connected: reason === undefined,
      blocked: false,
      unconfirmed: this.#counter.unconfirmed,
      reconnects: 0,
      ...(reason === undefined ? {} : { reason }),
    }
  }

  async declare(topology: Topology): Promise<void> {
    await this.#settled()
    await declareTopology(this.#db, topology)
    this.#counter.lookAround()
  }

  async consume(
    queue: string,
    options: ConsumeOptions,
    handler: (delivery: Delivery) => void,
  ): Promise<Consumer> {
    await this.#settled()
    if (!(await queueExists(this.#db, queue))) throw queueMissing(queue)
    const prefetch = Math.max(1, Math.trunc(options.prefetch))
    const consumer = new EmbeddedConsumer(this.#counter, queue, prefetch, handler, () => {
      this.#consumers.delete(consumer)
    })
    this.#consumers.add(consumer)
    this.#counter.addTaker(consumer)
    return consumer
  }

  publish(address: Address, message: Message, { signal }: PublishOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(brokerClosed())
    if (signal?.aborted === true) return Promise.reject(withdrawn(address))
    return this.#counter.publish(address, message)
  }

  async queueInfo(queue: string): Promise<QueueInfo | undefined> {
    await this.#settled()
    if (!(await queueExists(this.#db, queue))) return undefined
    const consumers = [...this.#consumers].filter((consumer) => consumer.queue === queue).length
    return { messages: await countMessages(this.#db, queue), consumers }
  }

  async exchangeExists(exchange: string): Promise<boolean> {
    await this.#settled()
    return exchange === '' || (await findExchange(this.#db, exchange)) !== undefined
  }

  async purge(queue: string): Promise<number> {
    await this.#settled()
    if (!(await queueExists(this.#db, queue))) throw queueMissing(queue)
    return purgeMessages(this.#db, queue)
  }

  async deleteQueue(queue: string): Promise<void> {
    await this.#settled()
    await this.#db.transaction().execute(async (db) => {
      await db.deleteFrom('embedded_messages').where('queue', '=', queue).execute()
      await db.deleteFrom('embedded_bindings').where('queue', '=', queue).execute()
      await db.deleteFrom('embedded_queues').where('name', '=', queue).execute()
    })
  }

  async deleteExchange(exchange: string): Promise<void> {
    await this.#settled()
    await this.#db.transaction().execute(async (db) => {
      await db.deleteFrom('embedded_bindings').where('exchange', '=', exchange).execute()
      await db.deleteFrom('embedded_exchanges').where('name', '=', exchange).execute()
    })
  }

  async get(queue: string): Promise<Delivery | undefined> {
    await this.#settled()
    if (!(await queueExists(this.#db, queue))) throw queueMissing(queue)
    const now = this.#options.now()
    const lease = { queue, most: 1, owner: this.owner, until: now + this.#leaseMs, now }
    const [row] = await leaseMessages(this.#db, lease)
    return row && new EmbeddedDelivery(row, this.#counter, () => {})
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#poll)
    for (const consumer of this.#consumers) await consumer.stop()
    await this.#counter.flush()
    // Acknowledgements by those who waited for the confirms just given.
    await this.#counter.flush()
    this.#counter.close()
    await releaseLeases(this.#db, this.owner, false).catch(() => {})
  }

  /** What was handed in before a question must show in the answer. */
  async #settled(): Promise<void> {
    if (this.#closing !== undefined) throw brokerClosed()
    await this.#counter.flush()
  }
}
