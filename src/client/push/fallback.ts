import { between } from './backoff.ts'

/** By which way to connect. */
export type PushTransport = 'websocket' | 'polling'

/** Breaks of sockets in a row after which they are given up for a while. */
const MOST_BREAKS = 4
const MINUTE = 60_000

/**
 * WebSocket first. After more than four breaks in a row that look as if something on the way blocks sockets, long
 * polling: for good when no socket ever opened, else for 10 to 30 minutes; then sockets get one chance again.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export class Fallback {
  #breaks = 0
  #worked = false
  /** Long polling until then. */
  #until = 0

  /** The way that is right now, of those that the server offers. */
  choose(offered: { readonly websocket: boolean; readonly polling: boolean }, now: number): PushTransport {
    if (!offered.websocket) return 'polling'
    return offered.polling && now < this.#until ? 'polling' : 'websocket'
  }

  /** A socket is open. */
  opened(): void {
    this.#worked = true
  }

  /** A socket was open for long enough to be trusted. */
  proved(): void {
    this.#breaks = 0
  }

  /** A socket did not open, or broke: close codes 1006 and 1008. */
  broke(now: number, random: () => number): void {
    this.#breaks++
    if (this.#breaks <= MOST_BREAKS) return
    this.#until = this.#worked ? now + between(10 * MINUTE, 30 * MINUTE, random) : Number.POSITIVE_INFINITY
  }
}
