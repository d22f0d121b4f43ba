/**
 * What a message broker must do for the bridge. Two drivers implement it, RabbitMQ (`amqp.ts`) and tables in an
 * SQLite file (`embedded.ts`), and `test/conformance/broker.ts` proves both.
 */

/** Header values that both drivers keep unchanged. AMQP 64-bit integers arrive as numbers. */
export type HeaderValue =
  | string
  | number
  | boolean
  | null
  | Buffer
  | readonly HeaderValue[]
  | { readonly [name: string]: HeaderValue }

/** A message as producers and consumers see it: a body of bytes, named properties and free headers. */
export interface Message {
  readonly body: Buffer
  readonly headers: Readonly<Record<string, HeaderValue>>
  readonly messageId?: string
  readonly correlationId?: string
  readonly replyTo?: string
  readonly contentType?: string
  readonly contentEncoding?: string
  /** Seconds since 1970, as AMQP has it. */
  readonly timestamp?: number
  /** Milliseconds until the broker may drop it, as text (the AMQP property). */
  readonly expiration?: string
  readonly priority?: number
  readonly appId?: string
  readonly type?: string
  /** Survives a broker restart; true unless said otherwise. */
  readonly persistent?: boolean
}

/** One message handed to us, to be settled exactly once: the first of `ack` and `requeue` counts, later ones do nothing. */
export interface Delivery {
  readonly message: Message
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
  /** The broker has handed this message out before. */
  readonly redelivered: boolean
  /** Times handed out before, where the broker counts (quorum queues, embedded); otherwise 0 or 1. */
  readonly deliveryCount: number
  /** The channel it came by has ended: the broker hands the message out again, and settling it here has no effect. */
  readonly lost: boolean
  /** Done with it. Silently without effect when the connection it came by is gone: the broker has requeued it. */
  ack(): void
  /** Hands it back unharmed, at once or after `delayMs` where the broker can delay (embedded; RabbitMQ ignores it). */
  requeue(delayMs?: number): void
}

/** Where a message goes. The empty exchange is the default one: the routing key is then the queue's name. */
export interface Address {
  readonly exchange: string
  readonly routingKey: string
}

/** A queue as declared. Without `arguments` none are sent, which is what queues of older programs need. */
export interface QueueSpec {
  readonly name: string
  readonly durable: boolean
  /** `quorum` adds `x-queue-type`; `plain` sends no type at all. */
  readonly type: 'quorum' | 'plain'
  readonly arguments?: Readonly<Record<string, HeaderValue>>
}

export interface ExchangeSpec {
  readonly name: string
  readonly type: 'topic' | 'direct' | 'fanout' | 'headers'
  readonly durable: boolean
}

export interface BindingSpec {
  readonly queue: string
  readonly exchange: string
  readonly routingKey: string
}

/** Everything that must exist before we consume. */
export interface Topology {
  /** `declare` creates what is missing; `passive` only checks and fails when something is missing; `off` does neither. */
  readonly mode: 'declare' | 'passive' | 'off'
  readonly exchanges: readonly ExchangeSpec[]
  readonly queues: readonly QueueSpec[]
  readonly bindings: readonly BindingSpec[]
}

/** What a broker can do; ask these flags, never which driver it is. */
export interface BrokerFeatures {
  /** `requeue(delayMs)` waits before the message is handed out again. */
  readonly delayedRequeue: boolean
  /** Other programs can put messages on its queues over the network. */
  readonly network: boolean
}

/** State shown by readiness checks and metrics. */
export interface BrokerState {
  readonly connected: boolean
  /** The broker asked publishers to pause (memory or disk alarm). */
  readonly blocked: boolean
  /** Publications sent and not yet confirmed. */
  readonly unconfirmed: number
  /** Reconnections since the start. */
  readonly reconnects: number
  /** Why it is not connected, without any secret. */
  readonly reason?: string
  /** What the server said of itself, while connected: `RabbitMQ`, `4.1.2`. */
  readonly server?: { readonly product: string; readonly version: string }
}

export interface ConsumeOptions {
  /** Deliveries that may be out and unsettled at once, at least 1. */
  readonly prefetch: number
}

/** A running consumer; it survives lost connections, cancelled consumers and deleted queues by subscribing again. */
export interface Consumer {
  /** Stops taking new deliveries; those already out can still be settled. Twice is harmless. */
  stop(): Promise<void>
  /**
   * Stops, and hands back in the same moment, in their order, all that is out and not settled: nobody is given a later
   * message before. Settling one of those has no effect any more. After `stop` it has no effect.
   */
  abandon(): Promise<void>
}

export interface PublishOptions {
  /** Aborted: a message that has not been sent by then is not sent any more. */
  readonly signal?: AbortSignal
}

export interface QueueInfo {
  readonly messages: number
  readonly consumers: number
}

export interface Broker {
  readonly features: BrokerFeatures
  state(): BrokerState
  /**
   * Declares or checks the topology, now and again after every reconnection.
   * Rejects with a `BrokerError`: `QUEUE_MISSING`, `EXCHANGE_MISSING` or `TOPOLOGY_MISMATCH` (it exists with other
   * arguments), each with a hint; `ACCESS_REFUSED` or `QUEUE_LOCKED` on RabbitMQ, `UNSUPPORTED` on the embedded broker.
   * Waits for the first connection as long as it takes, as `consume` does; a tool asks `state` or sets itself a time.
   */
  declare(topology: Topology): Promise<void>
  /**
   * Starts handing out deliveries. The handler must not throw; it settles each delivery in its own time. Rejects with
   * `QUEUE_MISSING` when there is no such queue now; one that vanishes later is waited for.
   */
  consume(queue: string, options: ConsumeOptions, handler: (delivery: Delivery) => void): Promise<Consumer>
  /**
   * Resolves when the broker has confirmed the message. Rejects with a `BrokerError`:
   * `UNROUTABLE` (no queue is bound there; the broker returned it), `EXCHANGE_MISSING`, `MESSAGE_TOO_LARGE`, `NACKED` (refused, for example
   * a full queue), `MESSAGE_INVALID` (a header or property that the broker cannot carry),
   * `CONFIRM_TIMEOUT` or `CONNECTION_LOST` (it may or may not have been stored), `BROKER_CLOSED` (after `close`).
   * While the connection is away it waits for it, at most the confirm time-out. A message without `messageId` may be
   * given one. With a signal that is aborted it rejects with `WITHDRAWN` instead of being sent, sooner or later.
   */
  publish(address: Address, message: Message, options?: PublishOptions): Promise<void>
  /**
   * Messages not handed out and consumers of a queue, or `undefined` when there is no such queue. This and the questions
   * below reject with `NOT_CONNECTED` when there is no connection within the confirm time-out.
   */
  queueInfo(queue: string): Promise<QueueInfo | undefined>
  /** True when the exchange exists. */
  exchangeExists(exchange: string): Promise<boolean>
  /** Deletes all messages of a queue and says how many there were. */
  purge(queue: string): Promise<number>
  /** Deletes a queue or does nothing when there is none. */
  deleteQueue(queue: string): Promise<void>
  /** Deletes an exchange or does nothing when there is none. */
  deleteExchange(exchange: string): Promise<void>
  /** Takes one message without a consumer, or `undefined` when the queue is empty. For tools and tests. */
  get(queue: string): Promise<Delivery | undefined>
  /** Stops consumers, waits for outstanding confirms (bounded), closes connections. Twice is harmless. */
  close(): Promise<void>
}
