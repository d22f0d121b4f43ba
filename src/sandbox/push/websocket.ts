import type { WebSocket } from 'ws'
import { type Connection, type ConnectionCard, cardOf } from './connection.ts'
import { encodeFrame } from './framing.ts'
import type { PushHabits } from './habits.ts'
import type { PushMessage } from './history.ts'
import { type Refusal, refusalText, type Subscription } from './subscription.ts'

/** Clients of JSON-RPC give a connection up when they have not been pinged for 20 seconds. */
const RPC_PING_MS = 10_000

/**
 * A listener at a WebSocket. The first message goes at once; those that come while `pushBufferMs` run go together
 * afterwards. It is pinged every `pushPingMs` and dropped when it has not answered by the next ping. With JSON-RPC pings
 * and answers are texts, and the client confirms messages; else what it sends is not read.
 */
export class SocketConnection implements Connection {
  readonly card: ConnectionCard
  silent = false
  confirmed: string | undefined
  readonly #socket: WebSocket
  readonly #habits: PushHabits
  readonly #pings: NodeJS.Timeout
  #waiting: PushMessage[] = []
  #buffer: NodeJS.Timeout | undefined
  #answered = true

  constructor(socket: WebSocket, wanted: Subscription, habits: PushHabits) {
    this.card = cardOf('websocket', wanted)
    this.#socket = socket
    this.#habits = habits
    const isRpc = wanted.format === 'rpc'
    const pingMs = isRpc ? Math.min(habits.pushPingMs, RPC_PING_MS) : habits.pushPingMs
    this.#pings = setInterval(() => this.#ping(), pingMs)
    if (isRpc) socket.on('message', (data) => this.#hear(String(data)))
    socket.on('pong', () => {
      this.#answered = true
    })
    socket.on('error', () => socket.terminate())
    socket.on('close', () => this.#stop())
  }

  deliver(messages: readonly PushMessage[]): void {
    if (this.silent) return
    this.#waiting.push(...messages)
    if (this.#buffer === undefined) this.#flush()
  }

  end(refusal: Refusal): void {
    this.#stop()
    this.#socket.close(refusal.code, refusalText(refusal))
  }

  drop(): void {
    this.#stop()
    this.#socket.terminate()
  }

  /** The socket is no longer read either, so that pings and a close of the client find no answer. */
  silence(): void {
    this.silent = true
    this.#stop()
    this.#socket.pause()
  }

  #flush(): void {
    this.#buffer = undefined
    if (this.#waiting.length === 0) return
    this.#socket.send(encodeFrame(this.#waiting, this.card.format))
    this.#waiting = []
    if (this.#habits.pushBufferMs > 0)
      this.#buffer = setTimeout(() => this.#flush(), this.#habits.pushBufferMs)
  }

  #ping(): void {
    if (!this.#answered) {
      this.#socket.terminate()
      return
    }
    this.#answered = false
    if (this.card.format === 'rpc') this.#socket.send('ping')
    else this.#socket.ping('ws ping')
  }

  #hear(text: string): void {
    if (text === 'pong') this.#answered = true
    else if (text.startsWith('mack:')) this.confirmed = text.slice('mack:'.length)
  }

  #stop(): void {
    clearInterval(this.#pings)
    clearTimeout(this.#buffer)
    this.#buffer = undefined
  }
}
