import { randomInt } from 'node:crypto'
import { type ClientRequest, Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { DeliveryLog, type OpenRecord } from './delivery-log.ts'
import { SlowHandlers, type SlowRule } from './slow-handlers.ts'

/** An event on its way to a handler. */
export interface OutgoingEvent {
  readonly event: string
  readonly url: string
  /** The form that is posted. */
  readonly form: string
  /** The portal it comes from, for the log. */
  readonly memberId?: string
}

/** How one request to a handler ended. */
export interface Delivery {
  readonly event: string
  readonly url: string
  /** Missing when no answer came. */
  readonly status?: number
  readonly error?: string
}

/** What became of the requests of one kind of event. */
export interface DeliveryCounts {
  /** Answered with a status below 300. */
  delivered: number
  /** Answered with another status. */
  refused: number
  /** Not answered. */
  lost: number
}

/** How requests to handlers are sent; the documentation is silent on most of it. */
export interface SendingHabits extends SlowRule {
  /** Milliseconds between an event and the request that tells of it. */
  readonly eventDelayMs: number
  /** How long a handler may take to answer. */
  readonly eventTimeoutMs: number
  /** Requests leave in the order of the events, or each within two seconds at random. Either way side by side. */
  readonly eventOrder: 'raised' | 'shuffled'
  /** Connections are used again, which large numbers of events need. */
  readonly eventKeepAlive: boolean
  /** How many requests go to one host at once; the others wait for their turn. */
  readonly eventConnections: number
}

/** The sandbox's clock, and one that measures. */
export interface SenderClocks {
  readonly now: () => number
  readonly elapsedMs: () => number
}

const SHUFFLED_WITHIN_MS = 2000

/**
 * Posts events to handlers: one request each, whatever comes of it; redirects are not followed. Handlers that answer
 * slowly get their next events later.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export class EventSender {
  readonly log = new DeliveryLog()
  readonly slow: SlowHandlers
  readonly #habits: SendingHabits
  readonly #clocks: SenderClocks
  /** Those that are still to be sent. */
  readonly #waiting = new Map<NodeJS.Timeout, (error: Error) => void>()
  readonly #underWay = new Set<ClientRequest>()
  readonly #http: HttpAgent
  readonly #https: HttpsAgent
  readonly #localAddress: () => string | undefined
  #closed = false

  constructor(habits: SendingHabits, clocks: SenderClocks, localAddress: () => string | undefined) {
    this.#localAddress = localAddress
    this.#habits = habits
    this.#clocks = clocks
    this.slow = new SlowHandlers(habits)
    const pool = { keepAlive: habits.eventKeepAlive, maxSockets: habits.eventConnections }
    this.#http = new HttpAgent(pool)
    this.#https = new HttpsAgent(pool)
  }

  /** Resolves when the handler has answered or will not; never rejects. */
  async send(outgoing: OutgoingEvent, counts: Record<string, DeliveryCounts>): Promise<Delivery> {
    const { event, url, form, memberId } = outgoing
    counts[event] ??= { delivered: 0, refused: 0, lost: 0 }
    const count = counts[event]
    const raisedAtMs = this.#clocks.now()
    const record: OpenRecord = { event, url, memberId, raisedAtMs, form, outcome: 'waiting' }
    this.log.add(record)
    try {
      const waitMs = this.#waitMs(url)
      if (waitMs > 0) await this.#wait(waitMs)
      if (this.#closed) throw closedError()
      const status = await this.#post(outgoing, record)
      record.status = status
      record.outcome = status < 300 ? 'delivered' : 'refused'
    } catch (error) {
      record.error = error instanceof Error ? error.message : String(error)
      record.outcome = 'lost'
    }
    count[record.outcome as keyof DeliveryCounts] += 1
    const { status, error } = record
    return { event, url, ...(status !== undefined && { status }), ...(error !== undefined && { error }) }
  }

  /** Gives up what is under way. */
  close(): void {
    this.#closed = true
    for (const [timer, fail] of this.#waiting) {
      clearTimeout(timer)
      fail(closedError())
    }
    for (const request of this.#underWay) request.destroy()
    this.#http.destroy()
    this.#https.destroy()
  }

  #waitMs(url: string): number {
    const { eventDelayMs, eventOrder } = this.#habits
    return (
      eventDelayMs + this.slow.delay(url) + (eventOrder === 'shuffled' ? randomInt(SHUFFLED_WITHIN_MS) : 0)
    )
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(timer)
        resolve()
      }, ms)
      this.#waiting.set(timer, reject)
    })
  }

  async #post({ url, form }: OutgoingEvent, record: OpenRecord): Promise<number> {
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(form),
      'User-Agent': 'Bitrix24 Webhook Engine',
    }
    const options = { method: 'POST', headers, localAddress: this.#localAddress() }
    const request = url.startsWith('https:')
      ? requestHttps(url, { ...options, agent: this.#https })
      : requestHttp(url, { ...options, agent: this.#http })
    this.#underWay.add(request)
    let startMs = this.#clocks.elapsedMs()
    let timer: NodeJS.Timeout | undefined
    try {
      return await new Promise((resolve, reject) => {
        request.once('socket', () => {
          startMs = this.#clocks.elapsedMs()
          record.sentAtMs = this.#clocks.now()
          const { eventTimeoutMs } = this.#habits
          timer = setTimeout(() => request.destroy(new Error('the handler did not answer')), eventTimeoutMs)
        })
        request.once('response', (response) => {
          response.resume()
          response.once('end', () => resolve(response.statusCode ?? 0))
          response.once('error', reject)
          response.once('close', () => reject(new Error('the answer was cut off')))
        })
        request.once('error', reject)
        request.once('close', () => reject(new Error('the connection was closed')))
        request.end(form)
      })
    } finally {
      clearTimeout(timer)
      this.#underWay.delete(request)
      record.tookMs = Math.round(this.#clocks.elapsedMs() - startMs)
      this.slow.took(url, record.tookMs)
    }
  }
}

function closedError(): Error {
  return new Error('the sandbox was closed')
}
