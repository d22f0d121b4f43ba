import type { Broker } from '../../brokers/broker.ts'
import type { CallbackSender } from '../../client/callback.ts'
import { BridgeError, BrokerError } from '../../model/errors.ts'
import {
  backOff,
  type CallbackRules,
  callbackBody,
  callbackId,
  callbackPlace,
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
/** Attempts under way at one host: one that never answers must not hold up the others. */
const AT_ONE_HOST = 5
/** All queues are one place, and the broker is quick where it is there. */
const AT_THE_BROKER = 25
/** Longer than an attempt; then somebody else may try. */
const HOLD_MS = 60_000
/** What was taken and has waited so long for its place is not begun: the attempt could last longer than the hold. */
const MOST_WAITED_MS = 30_000
/** Taken and waiting, at most; addresses in odd spellings are taken again and again. */
const MOST_WAITING = 500
/** A broker that is away says nothing about the queue: this is no attempt. */
const BROKER_PAUSE_MS = 5000

/** A host, or the broker. */
interface Place {
  readonly most: number
  busy: number
  /** Taken, and still to be tried there, in their order. */
  readonly waiting: { readonly due: DueCallback; readonly takenAt: number }[]
  /** How the addresses there begin, as they were written. */
  readonly begins: Set<string>
}

/**
 * Takes what is due from the inbox and tries it once: `sent`, due again later, or `dead` after the last attempt. At least
 * once: whoever is told twice knows it by the id.
 *
 * Each host has a few of the places. While it has those, no more is taken for it; what was taken already waits, and goes
 * back untried when that takes too long.
 */
export function createCallbacks(options: CallbackOptions): Callbacks {
  const { store, broker, sender, rules, now, random, onAttempt, log } = options
  const pace: Pace = createPace({ longestMs: options.pollMs })
  const inHand = new Set<Promise<void>>()
  const places = new Map<string, Place>()
  let loop: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!pace.closed) {
      await returnWaiting(now() - MOST_WAITED_MS)
      const waiting = [...places.values()].reduce((sum, place) => sum + place.waiting.length, 0)
      const free = waiting < MOST_WAITING ? AT_ONCE - inHand.size : 0
      const takenAt = now()
      const due = free === 0 ? [] : await take(free)
      for (const one of due) admit(one, takenAt)
      // An attempt that ends wakes us.
      await pace.wait(due.length > 0)
    }
    await returnWaiting(Number.POSITIVE_INFINITY)
  }

  function admit(due: DueCallback, takenAt: number): void {
    const { name, begins } = callbackPlace(due.callback)
    const most = name === 'queue' ? AT_THE_BROKER : AT_ONE_HOST
    const place = places.get(name) ?? { most, busy: 0, waiting: [], begins: new Set<string>() }
    places.set(name, place)
    for (const begin of begins) place.begins.add(begin)
    if (place.busy < place.most) begin(due, name, place)
    else place.waiting.push({ due, takenAt })
  }

  function begin(due: DueCallback, name: string, place: Place): void {
    place.busy++
    const work = attempt(due).finally(() => {
      inHand.delete(work)
      place.busy--
      const next = pace.closed ? undefined : place.waiting.shift()
      if (next !== undefined) begin(next.due, name, place)
      else if (place.busy === 0 && place.waiting.length === 0) places.delete(name)
      pace.wake()
    })
    inHand.add(work)
  }

  /** Gives back, untried, what was taken before a moment and waits still. */
  async function returnWaiting(before: number): Promise<void> {
    for (const { waiting } of places.values()) {
      const late = waiting.filter(({ takenAt }) => takenAt < before)
      waiting.splice(0, late.length)
      for (const { due } of late)
        await store
          .endCallback({
            id: due.id,
            attempt: due.callback_attempts,
            counts: false,
            state: 'waiting',
            inMs: 0,
            error: due.callback_error,
          })
          // It comes again when the hold is over.
          .catch(() => {})
    }
  }

  async function take(limit: number): Promise<readonly DueCallback[]> {
    const full = [...places.values()].filter(({ busy, most, waiting }) => busy >= most || waiting.length > 0)
    const exceptBegins = full.flatMap(({ begins }) => [...begins])
    try {
      return await store.takeCallbacks({ limit, holdMs: HOLD_MS, exceptBegins })
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
