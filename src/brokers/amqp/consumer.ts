import { setTimeout as sleep } from 'node:timers/promises'
import type { ChannelModel } from 'amqplib'
import type { Consumer } from '../broker.ts'
import { brokerClosed } from '../errors.ts'
import { type AmqpLink, retryDelay } from './connection.ts'
import { reasonText, refusal, replyCode } from './errors.ts'
import { type Subscription, type SubscriptionOptions, subscribe } from './subscription.ts'

export interface AmqpConsumerOptions extends SubscriptionOptions {
  readonly link: AmqpLink
  /** Makes the queue again where we declare it; runs before a renewed subscription on the same connection. */
  readonly restore: (model: ChannelModel) => Promise<void>
  readonly onStop: () => void
  readonly random: () => number
}

/**
 * Keeps one queue consumed. It lives on a channel of its own and begins anew, queue and all, whenever that ends:
 *
 * subscribing ─▶ consuming ─▶ (connection lost │ channel closed │ cancelled by the broker) ─▶ waiting ─▶ subscribing
 *
 * Handlers still at work do not hold up the new subscription. https://www.rabbitmq.com/docs/consumer-cancel
 */
export class AmqpConsumer implements Consumer {
  readonly #options: AmqpConsumerOptions
  readonly #stopping = new AbortController()
  #subscription: Subscription | undefined

  constructor(options: AmqpConsumerOptions) {
    this.#options = options
  }

  get queue(): string {
    return this.#options.queue
  }

  /** Resolves with the first subscription; rejects when the broker refuses that one. Waits for a connection as long as it takes. */
  start(): Promise<void> {
    return new Promise((resolve, reject) => {
      void this.#run(resolve, reject)
    })
  }

  async stop(): Promise<void> {
    await this.#end()?.stop()
  }

  /** The broker puts back what is not acknowledged when a channel is closed. */
  async abandon(): Promise<void> {
    await this.#end()?.interrupt('what is out was handed back')
  }

  #end(): Subscription | undefined {
    this.#stopping.abort()
    this.#options.onStop()
    const subscription = this.#subscription
    this.#subscription = undefined
    return subscription
  }

  /** Lets go of the queue and subscribes again a little later. */
  async interrupt(why: string): Promise<void> {
    await this.#subscription?.interrupt(why)
  }

  async #run(started: () => void, refused: (error: Error) => void): Promise<void> {
    const { link, queue, restore, logger, random } = this.#options
    const { signal } = this.#stopping
    let everSubscribed = false
    let before: ChannelModel | undefined
    for (let failures = 0; !signal.aborted; ) {
      let reason: string
      try {
        const model = await link.ready()
        if (model === before) await restore(model)
        before = model
        const subscription = await subscribe(model, this.#options)
        if (signal.aborted) {
          await subscription.stop()
          break
        }
        this.#subscription = subscription
        failures = 0
        everSubscribed = true
        started()
        logger('consumer.subscribed', { queue })
        reason = await subscription.ended
        this.#subscription = undefined
      } catch (error) {
        if (link.closed) break
        if (!everSubscribed && replyCode(error) >= 400)
          return refused(refusal(error, { kind: 'queue', name: queue }))
        reason = reasonText(error)
      }
      if (signal.aborted || link.closed) break
      const retryInMs = retryDelay(++failures, random)
      logger('consumer.interrupted', { queue, reason, retryInMs })
      // A lost connection has its own waiting time; a cancelled or refused consumer must not run hot.
      if (link.model !== undefined) await sleep(retryInMs, undefined, { signal }).catch(() => {})
    }
    refused(brokerClosed())
  }
}
