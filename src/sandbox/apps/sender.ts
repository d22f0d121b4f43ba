import { request as requestHttp } from 'node:http'
import { request as requestHttps } from 'node:https'
import { setTimeout as sleep } from 'node:timers/promises'
import type { OauthHabits } from '../oauth/habits.ts'

/** An event on its way to a handler. */
export interface OutgoingEvent {
  readonly event: string
  readonly url: string
  /** The form that is posted. */
  readonly form: string
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

/**
 * Posts events to handlers: one request each, whatever comes of it; redirects are not followed.
 *
 * https://apidocs.bitrix24.com/api-reference/events/index.html
 */
export class EventSender {
  readonly #habits: OauthHabits
  readonly #closing = new AbortController()

  constructor(habits: OauthHabits) {
    this.#habits = habits
  }

  /** Resolves when the handler has answered or will not; never rejects. */
  async send(event: OutgoingEvent, counts: Record<string, DeliveryCounts>): Promise<Delivery> {
    counts[event.event] ??= { delivered: 0, refused: 0, lost: 0 }
    const count = counts[event.event]!
    const { event: name, url } = event
    try {
      const { eventDelayMs, eventTimeoutMs } = this.#habits
      if (eventDelayMs > 0) await sleep(eventDelayMs, undefined, { signal: this.#closing.signal })
      const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(eventTimeoutMs)])
      const status = await post(event, signal)
      count[status < 300 ? 'delivered' : 'refused'] += 1
      return { event: name, url, status }
    } catch (error) {
      count.lost += 1
      return { event: name, url, error: error instanceof Error ? error.message : String(error) }
    }
  }

  /** Gives up what is under way. */
  close(): void {
    this.#closing.abort()
  }
}

function post({ url, form }: OutgoingEvent, signal: AbortSignal): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Content-Length': Buffer.byteLength(form),
      'User-Agent': 'Bitrix24 Webhook Engine',
    }
    const send = url.startsWith('https:') ? requestHttps : requestHttp
    const request = send(url, { method: 'POST', headers, signal, agent: false }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode ?? 0))
      response.once('error', reject)
    })
    request.once('error', reject)
    request.end(form)
  })
}
