import { setTimeout as sleep } from 'node:timers/promises'
import type { ChannelModel } from 'amqplib'
import { BrokerError } from '../../model/errors.ts'
import { brokerClosed } from '../errors.ts'
import { cut, type DialOptions, dial, hangUp } from './dial.ts'
import { reasonText } from './errors.ts'
import type { AmqpEndpoint } from './url.ts'

/** Receives one line an outcome: a fixed name and small facts, never a secret. */
export type BrokerLogger = (event: string, fields: Readonly<Record<string, unknown>>) => void

export interface LinkOptions extends DialOptions {
  readonly endpoints: readonly AmqpEndpoint[]
  /** What it is for, `consume` or `publish`; shown in logs and as a part of the connection's name. */
  readonly role: string
  readonly logger: BrokerLogger
  readonly random: () => number
  readonly now: () => number
  /** Runs after each connection before anyone may use it; its failure is logged and does not close the connection. */
  readonly setup?: (model: ChannelModel) => Promise<void>
  /** The broker lets this connection go on after a pause. */
  readonly onUnblocked?: () => void
}

const LOWEST_DELAY_MS = 200
const HIGHEST_DELAY_MS = 10_000

/**
 * One connection to RabbitMQ that is re-made for ever: it goes round the addresses and waits between attempts, 0.2 to
 * 10 seconds with full jitter. Listeners hear of each connection and each loss; whoever needs one waits with `ready`.
 *
 * connecting ─▶ setting up ─▶ up ─▶ waiting ─▶ connecting …   and from each of them ─▶ closed
 */
export class AmqpLink {
  readonly #options: LinkOptions
  readonly #closing = new AbortController()
  readonly #waiters = new Set<{ resolve(model: ChannelModel): void; reject(error: Error): void }>()
  readonly #upListeners = new Set<(model: ChannelModel) => void>()
  #model: ChannelModel | undefined
  #blocked = false
  #connections = 0
  #reason: string | undefined = 'not connected yet'
  #ended: Promise<void> = Promise.resolve()

  constructor(options: LinkOptions) {
    this.#options = options
  }

  /** Begins to connect. Once. */
  start(): void {
    this.#ended = this.#run()
  }

  /** The connection, when there is one. */
  get model(): ChannelModel | undefined {
    return this.#model
  }

  /** The broker asked this connection to pause: https://www.rabbitmq.com/docs/connection-blocked */
  get blocked(): boolean {
    return this.#blocked
  }

  get reconnects(): number {
    return Math.max(0, this.#connections - 1)
  }

  /** Why there is no connection, or `undefined` while there is one. */
  get reason(): string | undefined {
    return this.#reason
  }

  get closed(): boolean {
    return this.#closing.signal.aborted
  }

  /**
   * Called after each connection, in the order of registration, and at once when there is one. Must not throw. Returns
   * a function that stops it.
   */
  onUp(listener: (model: ChannelModel) => void): () => void {
    this.#upListeners.add(listener)
    if (this.#model !== undefined) listener(this.#model)
    return () => this.#upListeners.delete(listener)
  }

  /** The connection as soon as there is one; rejects with `NOT_CONNECTED` after `timeoutMs`, `BROKER_CLOSED` after `close`. */
  ready(timeoutMs?: number): Promise<ChannelModel> {
    if (this.closed) return Promise.reject(brokerClosed())
    if (this.#model !== undefined) return Promise.resolve(this.#model)
    return new Promise((resolve, reject) => {
      let timer: NodeJS.Timeout | undefined
      const waiter = {
        resolve: (model: ChannelModel) => {
          clearTimeout(timer)
          resolve(model)
        },
        reject: (error: Error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.#waiters.add(waiter)
      if (timeoutMs === undefined) return
      timer = setTimeout(() => {
        this.#waiters.delete(waiter)
        const sentence = `No connection to the broker within ${timeoutMs} ms: ${this.#reason ?? 'still setting up'}`
        reject(
          new BrokerError('NOT_CONNECTED', sentence, {
            hint: 'Check that the broker runs and the address is right.',
          }),
        )
      }, timeoutMs)
    })
  }

  /** Ends the connection, politely for two seconds, then by cutting it. Twice is harmless. */
  async close(): Promise<void> {
    if (!this.closed) {
      this.#closing.abort()
      for (const waiter of this.#waiters) waiter.reject(brokerClosed())
      this.#waiters.clear()
      const model = this.#model
      if (model !== undefined) await hangUp(model)
    }
    await this.#ended
  }

  async #run(): Promise<void> {
    const { endpoints, role, logger, now } = this.#options
    let failures = 0
    for (let attempt = 0; !this.closed; attempt++) {
      const endpoint = endpoints[attempt % endpoints.length]!
      const began = now()
      const reason = await this.#liveOnce(endpoint)
      if (this.closed) break
      // A connection that held for a while earns a quick first retry.
      failures = now() - began > HIGHEST_DELAY_MS ? 1 : failures + 1
      this.#reason = reason
      const retryInMs = retryDelay(failures, this.#options.random)
      logger('broker.disconnected', { role, broker: endpoint.label, reason, retryInMs })
      await sleep(retryInMs, undefined, { signal: this.#closing.signal }).catch(() => {})
    }
    this.#reason = 'closed'
  }

  /** Connects, serves until the connection is gone, and says why it went. Never rejects. */
  async #liveOnce(endpoint: AmqpEndpoint): Promise<string> {
    const { role, logger } = this.#options
    let model: ChannelModel
    try {
      model = await dial(endpoint, this.#options, this.#closing.signal)
    } catch (error) {
      return reasonText(error)
    }
    let reason = 'the connection was closed'
    const gone = new Promise<void>((resolve) => {
      model.on('error', (error) => {
        reason = reasonText(error)
      })
      model.on('close', (error) => {
        if (error !== undefined) reason = reasonText(error)
        this.#model = undefined
        this.#blocked = false
        this.#reason = reason
        // A peer that vanished would keep the half-closed socket open for minutes.
        setTimeout(() => cut(model), 1000).unref()
        resolve()
      })
    })
    this.#blocked = false
    model.on('blocked', (why: string) => {
      this.#blocked = true
      logger('broker.blocked', { role, reason: why })
    })
    model.on('unblocked', () => {
      this.#blocked = false
      logger('broker.unblocked', { role })
      this.#options.onUnblocked?.()
    })
    if (this.closed) {
      await hangUp(model)
      return reason
    }
    const setup = this.#options.setup?.(model).catch((error: unknown) => {
      logger('topology.failed', { role, reason: reasonText(error) })
    })
    let lost = false
    void gone.then(() => {
      lost = true
    })
    await Promise.race([setup, gone])
    if (!lost && !this.closed) this.#announce(model, endpoint)
    else if (this.closed) await hangUp(model)
    await gone
    return reason
  }

  #announce(model: ChannelModel, endpoint: AmqpEndpoint): void {
    this.#connections++
    this.#model = model
    this.#reason = undefined
    this.#options.logger('broker.connected', {
      role: this.#options.role,
      broker: endpoint.label,
      reconnects: this.reconnects,
    })
    for (const listener of this.#upListeners) listener(model)
    for (const waiter of this.#waiters) waiter.resolve(model)
    this.#waiters.clear()
  }
}

/** Milliseconds before the next attempt: full jitter between 0.2 s and a bound that doubles up to 10 s. Pure. */
export function retryDelay(failures: number, random: () => number): number {
  const bound = Math.min(HIGHEST_DELAY_MS, LOWEST_DELAY_MS * 2 ** Math.min(failures, 10))
  return Math.round(LOWEST_DELAY_MS + random() * (bound - LOWEST_DELAY_MS))
}
