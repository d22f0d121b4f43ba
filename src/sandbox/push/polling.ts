import type { ServerResponse } from 'node:http'
import { type Connection, type ConnectionCard, cardOf } from './connection.ts'
import { CONTENT_TYPES, encodeFrame } from './framing.ts'
import type { PushMessage } from './history.ts'
import { type Refusal, refusalText, type Subscription, TOO_MANY_CONNECTIONS } from './subscription.ts'

const ANYBODY = {
  'Access-Control-Allow-Origin': '*',
  'Access-Control-Expose-Headers': 'Last-Message-Id',
}

/** A time-out is recognised by this date. */
const LONG_AGO = 'Thu, 01 Jan 1973 11:11:01 GMT'

/** How long a request is held, and the `mid` that it then goes home with. */
export interface Hold {
  readonly ms: number
  readonly lastMid: () => string
}

/**
 * A long-polling request: the first messages are its answer. Without any it is answered with 304 when its time is
 * over, and with the `mid` to ask for next time.
 */
export class PollingConnection implements Connection {
  readonly card: ConnectionCard
  silent = false
  readonly #response: ServerResponse
  readonly #timer: NodeJS.Timeout

  constructor(response: ServerResponse, wanted: Subscription, hold: Hold) {
    this.card = cardOf('polling', wanted)
    this.#response = response
    this.#timer = setTimeout(() => this.#timeOut(hold), hold.ms)
    response.once('close', () => clearTimeout(this.#timer))
  }

  /** Messages that come after the first are for the next request. */
  deliver(messages: readonly PushMessage[]): void {
    const { format } = this.card
    if (this.silent) return
    this.#answer(200, { 'Content-Type': CONTENT_TYPES[format] }, encodeFrame(messages, format))
  }

  end(refusal: Refusal): void {
    refusePolling(this.#response, refusal)
  }

  drop(): void {
    this.#response.socket?.destroy()
  }

  silence(): void {
    this.silent = true
    clearTimeout(this.#timer)
    this.#response.socket?.pause()
  }

  #timeOut({ lastMid }: Hold): void {
    this.#answer(304, { 'Last-Message-Id': lastMid(), Expires: LONG_AGO }, '')
  }

  #answer(status: number, headers: Record<string, string>, body: string | Buffer): void {
    if (this.#response.headersSent) return
    this.#response.writeHead(status, { ...ANYBODY, ...headers }).end(body)
  }
}

/** Answers a request that may not listen, or no longer. */
export function refusePolling(response: ServerResponse, refusal: Refusal): void {
  if (response.headersSent) return
  const status = refusal === TOO_MANY_CONNECTIONS ? 429 : 400
  response.writeHead(status, { ...ANYBODY, 'Content-Type': 'text/plain' }).end(refusalText(refusal))
}
