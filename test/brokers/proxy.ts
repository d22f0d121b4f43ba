import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A TCP proxy that can misbehave: the network between us and RabbitMQ. */
export class BadProxy {
  readonly #server: Server
  readonly #target: URL
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  /** Takes connections and lets nothing through, in either direction; also for connections that exist. */
  blackHole = false
  /** Refuses new connections. */
  refuse = false
  /** Passes on pieces of at most this many bytes, each in a packet of its own. */
  sliceBytes = Number.POSITIVE_INFINITY
  /** Connections taken so far. */
  connections = 0

  private constructor(target: URL) {
    this.#target = target
    this.#server = createServer((near) => this.#accept(near))
  }

  static async open(amqpUrl: string): Promise<BadProxy> {
    const proxy = new BadProxy(new URL(amqpUrl))
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  /** The address to use instead of the broker's own. */
  get url(): string {
    const url = new URL(this.#target)
    url.hostname = '127.0.0.1'
    url.port = String((this.#server.address() as AddressInfo).port)
    return url.href
  }

  /** Cuts all connections the hard way. */
  reset(): void {
    for (const [near, far] of this.#pairs) {
      near.resetAndDestroy()
      far.destroy()
    }
    this.#pairs.clear()
  }

  /** Says something to the clients in the broker's name; only while the connections are quiet. */
  inject(frame: Buffer): void {
    for (const [near] of this.#pairs) near.write(frame)
  }

  async close(): Promise<void> {
    this.reset()
    this.#server.close()
  }

  #accept(near: Socket): void {
    this.connections++
    near.on('error', () => {})
    if (this.refuse) {
      near.resetAndDestroy()
      return
    }
    const far = connect(Number(this.#target.port || 5672), this.#target.hostname)
    far.on('error', () => {})
    far.setNoDelay(true)
    near.setNoDelay(true)
    const pair = [near, far] as const
    this.#pairs.add(pair)
    this.#pass(near, far)
    this.#pass(far, near)
    const end = () => {
      this.#pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('close', end)
    far.on('close', end)
  }

  #pass(from: Socket, to: Socket): void {
    from.on('data', (data) => {
      if (this.blackHole) return
      for (let at = 0; at < data.length; at += this.sliceBytes) {
        to.write(data.subarray(at, Math.min(data.length, at + this.sliceBytes)))
      }
    })
  }
}
