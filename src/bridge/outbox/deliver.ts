import type { Broker } from '../../brokers/broker.ts'
import type { CallbackSender } from '../../client/callback.ts'
import { BridgeError, BrokerError } from '../../model/errors.ts'
import {
  backOff,
  type CallbackRules,
  callbackBody,
  callbackId,
  parseCallback,
  replyText,
  signedHeaders,
} from './callback.ts'
import { createPace, type Pace } from './pace.ts'
import type { CallbackStore, DueCallback } from './store.ts'

/** What became of one attempt. */
export type CallbackResult = 'sent' | 'retried' | 'dead'

export interface CallbackOptions {
  readonly store: CallbackStore
  readonly broker: Pick<Broker, 'publish'>
  readonly sender: Pick<CallbackSender, 'post'>
  readonly rules: CallbackRules
  readonly pollMs: number
  readonly now: () => number
  readonly random: () => number
  readonly onAttempt: (result: CallbackResult) => void
  readonly log: (event: string, fields: Readonly<Record<string, unknown>>) => void
}

/** Tells replies where their rows wanted them. */
export interface Callbacks {
  start(): void
  /** There may be something to tell. */
  wake(): void
  /** Ends with the attempts under way. Twice is harmless. */
  close(): Promise<void>
}

const AT_ONCE = 50
/** Longer than an attempt; then somebody else may try. */
const HOLD_MS = 60_000
/** A broker that is away says nothing about the queue: this is no attempt. */
const BROKER_PAUSE_MS = 5000

/**
 * Takes what is due from the inbox and tries it once: `sent`, due again later, or `dead` after the last attempt. At least
 * once: whoever is told twice knows it by the id.
 */
export function createCallbacks(options: CallbackOptions): Callbacks {
  const { store, broker, sender, rules, now, random, onAttempt, log } = options
  const pace: Pace = createPace({ longestMs: options.pollMs })
  const inHand = new Set<Promise<void>>()
  let loop: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!pace.closed) {
      const free = AT_ONCE - inHand.size
      const due = free === 0 ? [] : await take(free)
      for (const one of due) {
        const work = attempt(one).finally(() => {
          inHand.delete(work)
          pace.wake()
        })
        inHand.add(work)
      }
      // An attempt that ends wakes us.
      await pace.wait(due.length > 0)
    }
  }

  async function take(limit: number): Promise<readonly DueCallback[]> {
    try {
      return await store.takeCallbacks({ limit, holdMs: HOLD_MS })
    } catch (error) {
      log('outbox.store', { reason: error instanceof BridgeError ? error.code : String(error) })
      return []
    }
  }

  async function attempt(due: DueCallback): Promise<void> {
    const end = { id: due.id, attempt: due.callback_attempts }
    try {
      await tell(due)
      await store.endCallback({ ...end, counts: true, state: 'sent', error: null })
      onAttempt('sent')
    } catch (error) {
      const fault = faultOf(error)
      const inMs = fault.free ? BROKER_PAUSE_MS : fault.final ? undefined : backOff(end.attempt, random())
      const state = inMs === undefined ? 'dead' : 'waiting'
      onAttempt(state === 'dead' ? 'dead' : 'retried')
      log(state === 'dead' ? 'outbox.callback-dead' : 'outbox.callback-failed', {
        inbox: due.id,
        outbox: due.outbox_id,
        attempt: end.attempt,
        reason: fault.text,
      })
      await store
        .endCallback({
          ...end,
          counts: !fault.free,
          state,
          error: fault.text,
          ...(inMs === undefined ? {} : { inMs }),
        })
        // It comes again when the hold is over.
        .catch(() => {})
    }
  }

  async function tell(due: DueCallback): Promise<void> {
    const target = parseCallback(due.callback, rules)
    const id = callbackId(due)
    if (target.kind === 'http') {
      const body = callbackBody(due)
      const seconds = Math.floor(now() / 1000)
      const status = await sender.post(target.url, signedHeaders(rules.secrets, { id, seconds, body }), body)
      if (status < 200 || status > 299) throw new StatusError(status)
    } else if (target.kind === 'queue') {
      await broker.publish(
        { exchange: '', routingKey: target.queue },
        {
          body: Buffer.from(replyText(due)),
          headers: {
            'x-b24-outcome': due.outcome ?? '',
            'x-b24-outbox-id': due.outbox_id ?? 0,
            'x-b24-inbox-id': due.id,
          },
          messageId: id,
          correlationId: due.message_id ?? String(due.outbox_id ?? ''),
          contentType: 'application/json',
          timestamp: Math.floor(now() / 1000),
          appId: 'bitrix24-bridge',
          persistent: true,
        },
      )
    }
  }

  function faultOf(error: unknown): {
    readonly text: string
    readonly free: boolean
    readonly final: boolean
  } {
    if (error instanceof StatusError)
      return { text: `HTTP ${error.status}`, free: false, final: error.status === 410 }
    const text = error instanceof BridgeError ? `${error.code}: ${error.message}` : String(error)
    const free = error instanceof BrokerError && !ABOUT_THE_QUEUE.has(error.code)
    return { text, free, final: error instanceof BrokerError && /^MESSAGE_/.test(error.code) }
  }

  return {
    start() {
      loop ??= run()
    },
    wake: () => pace.wake(),
    async close() {
      pace.close()
      await loop
      await Promise.all(inHand)
    },
  }
}

const ABOUT_THE_QUEUE = new Set([
  'UNROUTABLE',
  'EXCHANGE_MISSING',
  'MESSAGE_TOO_LARGE',
  'MESSAGE_INVALID',
  'NACKED',
])

/** The other side has answered, but not with a yes. */
class StatusError extends Error {
  readonly status: number

  constructor(status: number) {
    super(`HTTP ${status}`)
    this.status = status
  }
}
