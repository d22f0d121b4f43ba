import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import type { Channel, ChannelModel } from 'amqplib'
import { BrokerError, ConfigError } from '../model/errors.ts'
import { AckWindow } from './amqp/acks.ts'
import { onThrowAwayChannel, watchChannel } from './amqp/channel.ts'
import { AmqpLink, type BrokerLogger } from './amqp/connection.ts'
import { AmqpConsumer } from './amqp/consumer.ts'
import { DeclaredTopology } from './amqp/declare.ts'
import { AmqpDelivery } from './amqp/delivery.ts'
import type { AmqpTls } from './amqp/dial.ts'
import { refusal, replyCode, type Subject } from './amqp/errors.ts'
import { AmqpPublisher } from './amqp/publisher.ts'
import { parseAmqpUrl } from './amqp/url.ts'
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
import { brokerClosed, queueMissing } from './errors.ts'

export type { BrokerLogger } from './amqp/connection.ts'
export type { AmqpTls } from './amqp/dial.ts'

export interface AmqpBrokerOptions {
  /** `amqp://user:password@host:5672/vhost`, or several of them for the nodes of one cluster. */
  readonly url: string | readonly string[]
  /** Shown by the broker as `<name>/consume` and `<name>/publish`; an instance's own name. */
  readonly name: string
  /** How long a publication may stay unconfirmed, and a tool's question unanswered; 30,000. */
  readonly confirmTimeoutMs?: number
  /** https://www.rabbitmq.com/docs/heartbeats; 15. The address may say otherwise. */
  readonly heartbeatSeconds?: number
  /** For the whole handshake; 10,000. */
  readonly connectTimeoutMs?: number
  /** How long `close` waits for confirms, and for the broker to let consumers go; 10,000. */
  readonly closeTimeoutMs?: number
  /** Publications sent and not yet confirmed, at most; 1000. */
  readonly maxInFlight?: number
  /** Bytes of the same; 16 MB. */
  readonly maxInFlightBytes?: number
  readonly tls?: AmqpTls
  readonly logger?: BrokerLogger
  readonly random: () => number
  /** Milliseconds on a clock that never jumps: all that is reckoned here are times between two moments. */
  readonly now: () => number
}

/**
 * A broker over RabbitMQ 3.10 or newer. Returns at once and connects by itself, again and again for as long as it
 * lives: `declare` and `consume` wait for the first connection as long as it takes, publications and questions at most
 * `confirmTimeoutMs`. Throws a `ConfigError` when an address cannot be read.
 *
 * Two connections: a broker short of memory stops reading from those that publish, and consumers must not stop with
 * them. https://www.rabbitmq.com/docs/alarms#effects-on-clients
 */
export function openAmqpBroker(options: AmqpBrokerOptions): Broker {
  return new AmqpBroker(options)
}

/** https://www.rabbitmq.com/amqp-0-9-1-reference#connection.start.server-properties */
function serverOf(model: ChannelModel | undefined): Pick<BrokerState, 'server'> {
  const { product, version } = model?.connection.serverProperties ?? {}
  if (typeof product !== 'string' || typeof version !== 'string') return {}
  return { server: { product, version } }
}

class AmqpBroker implements Broker {
  readonly features: BrokerFeatures = { delayedRequeue: false, network: true }
  readonly #options: AmqpBrokerOptions
  readonly #logger: BrokerLogger
  readonly #waitMs: number
  readonly #consuming: AmqpLink
  readonly #publishing: AmqpLink
  readonly #publisher: AmqpPublisher
  readonly #topology = new DeclaredTopology()
  readonly #consumers = new Set<AmqpConsumer>()
  #consumerCount = 0
  #getter: { readonly model: ChannelModel; readonly channel: Channel; readonly acks: AckWindow } | undefined
  #closing: Promise<void> | undefined

  constructor(options: AmqpBrokerOptions) {
    const urls = typeof options.url === 'string' ? [options.url] : options.url
    if (urls.length === 0) throw new ConfigError(['No broker address is given'])
    const endpoints = urls.map(parseAmqpUrl)
    const { random, now, tls } = options
    this.#options = options
    this.#logger = options.logger ?? (() => {})
    this.#waitMs = options.confirmTimeoutMs ?? 30_000
    const shared = {
      endpoints,
      heartbeatSeconds: options.heartbeatSeconds ?? 15,
      connectTimeoutMs: options.connectTimeoutMs ?? 10_000,
      ...(tls === undefined ? {} : { tls }),
      random,
      now,
    }
    this.#consuming = new AmqpLink({
      ...shared,
      role: 'consume',
      connectionName: `${options.name}/consume`,
      logger: this.#logger,
      setup: (model) => this.#topology.repeat(model),
    })
    this.#publishing = new AmqpLink({
      ...shared,
      role: 'publish',
      connectionName: `${options.name}/publish`,
      logger: this.#logger,
      onUnblocked: () => this.#publisher.resume(),
    })
    this.#publisher = new AmqpPublisher({
      link: this.#publishing,
      confirmTimeoutMs: this.#waitMs,
      maxInFlight: options.maxInFlight ?? 1000,
      maxInFlightBytes: options.maxInFlightBytes ?? 16 * 1024 * 1024,
      logger: this.#logger,
      random,
      now,
    })
    this.#consuming.start()
    this.#publishing.start()
  }

  state(): BrokerState {
    const reason = this.#consuming.reason ?? this.#publishing.reason
    return {
      connected: reason === undefined,
      blocked: this.#publishing.blocked || this.#consuming.blocked,
      unconfirmed: this.#publisher.unconfirmed,
      reconnects: this.#consuming.reconnects + this.#publishing.reconnects,
      ...(reason === undefined ? {} : { reason }),
      ...serverOf(this.#consuming.model),
    }
  }

  async declare(topology: Topology): Promise<void> {
    for (;;) {
      const model = await this.#consuming.ready()
      try {
        return await this.#topology.declare(model, topology)
      } catch (error) {
        const lost = !(error instanceof BrokerError) || error.code === 'CONNECTION_LOST'
        if (!lost || this.#consuming.model === model) throw error
      }
    }
  }

  async consume(
    queue: string,
    options: ConsumeOptions,
    handler: (delivery: Delivery) => void,
  ): Promise<Consumer> {
    const consumer: AmqpConsumer = new AmqpConsumer({
      queue,
      prefetch: Math.max(1, Math.trunc(options.prefetch)),
      tag: `${this.#options.name}/${++this.#consumerCount}/${queue}`.slice(0, 200),
      handler,
      link: this.#consuming,
      restore: (model) => this.#topology.repeatQueue(model, queue),
      onStop: () => this.#consumers.delete(consumer),
      logger: this.#logger,
      random: this.#options.random,
    })
    this.#consumers.add(consumer)
    try {
      await consumer.start()
    } catch (error) {
      this.#consumers.delete(consumer)
      throw error
    }
    return consumer
  }

  publish(address: Address, message: Message, options?: PublishOptions): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(brokerClosed())
    return this.#publisher.publish(address, message, options)
  }

  async queueInfo(queue: string): Promise<QueueInfo | undefined> {
    const answer = await this.#ask({ kind: 'queue', name: queue }, (channel) => channel.checkQueue(queue))
    return answer && { messages: answer.messageCount, consumers: answer.consumerCount }
  }

  async exchangeExists(exchange: string): Promise<boolean> {
    if (exchange === '') return true
    const answer = await this.#ask({ kind: 'exchange', name: exchange }, (channel) =>
      channel.checkExchange(exchange),
    )
    return answer !== undefined
  }

  async purge(queue: string): Promise<number> {
    const subject: Subject = { kind: 'queue', name: queue }
    const answer = await this.#ask(subject, (channel) => channel.purgeQueue(queue))
    if (answer === undefined) throw queueMissing(queue)
    return answer.messageCount
  }

  async deleteQueue(queue: string): Promise<void> {
    this.#topology.forgetQueue(queue)
    // RabbitMQ 3.10 tells consumers of a quorum queue too late: when the queue is made anew within some 40 ms, their
    // channel takes messages of the new one and delivers them to nobody.
    const ours = [...this.#consumers].filter((consumer) => consumer.queue === queue)
    await Promise.all(ours.map((consumer) => consumer.interrupt('the queue is being deleted')))
    await this.#ask({ kind: 'queue', name: queue }, (channel) => channel.deleteQueue(queue))
  }

  async deleteExchange(exchange: string): Promise<void> {
    this.#topology.forgetExchange(exchange)
    await this.#ask({ kind: 'exchange', name: exchange }, (channel) => channel.deleteExchange(exchange))
  }

  async get(queue: string): Promise<Delivery | undefined> {
    const { channel, acks } = await this.#getChannel()
    try {
      const raw = await channel.get(queue)
      if (raw === false) return undefined
      acks.add(raw.fields.deliveryTag)
      return new AmqpDelivery(raw, queue, acks)
    } catch (error) {
      throw refusal(error, { kind: 'queue', name: queue })
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const patienceMs = Math.min(this.#waitMs, this.#options.closeTimeoutMs ?? 10_000)
    const stopped = Promise.all([...this.#consumers].map((consumer) => consumer.stop()))
    await Promise.race([stopped, sleep(patienceMs, undefined, { ref: false })])
    this.#getter?.acks.flush()
    await this.#publisher.close(patienceMs)
    // Whoever waited for a confirm acknowledges now, and acknowledgements leave at the end of the turn.
    await nextTurn()
    await nextTurn()
    await Promise.all([this.#consuming.close(), this.#publishing.close()])
  }

  /** What the broker answers on a channel of its own; `undefined` when the thing is not there. */
  async #ask<T>(subject: Subject, act: (channel: Channel) => Promise<T>): Promise<T | undefined> {
    const model = await this.#consuming.ready(this.#waitMs)
    try {
      return await onThrowAwayChannel(model, act)
    } catch (error) {
      if (replyCode(error) === 404) return undefined
      throw refusal(error, subject)
    }
  }

  /** The channel that single messages are taken by; it stays, so that they can be settled. */
  async #getChannel(): Promise<{ readonly channel: Channel; readonly acks: AckWindow }> {
    const model = await this.#consuming.ready(this.#waitMs)
    if (this.#getter?.model === model) return this.#getter
    const { channel, ended } = watchChannel(await model.createChannel())
    const getter = { model, channel, acks: new AckWindow(channel) }
    this.#getter = getter
    void ended.then(() => {
      getter.acks.close()
      if (this.#getter === getter) this.#getter = undefined
    })
    return getter
  }
}
