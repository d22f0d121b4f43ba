import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How the network behaves; each part holds for connections that exist, too. */
export interface Weather {
  /** Nothing passes, in either direction, and nobody is told. What was sent meanwhile arrives when it is over. */
  readonly blackHole: boolean
  /** New connections are reset. */
  readonly refuse: boolean
  /** Everything arrives this much later. */
  readonly latencyMs: number
  /** Bytes a second in each direction of each connection. */
  readonly bytesPerSecond: number
  /** Passed on in pieces of at most so many bytes, each in a packet of its own. */
  readonly sliceBytes: number
}

const CLEAR: Weather = {
  blackHole: false,
  refuse: false,
  latencyMs: 0,
  bytesPerSecond: Number.POSITIVE_INFINITY,
  sliceBytes: Number.POSITIVE_INFINITY,
}

/** The network between the bridge and something that it needs: `reset`, and weather. */
export class WildProxy implements AsyncDisposable {
  readonly #server: Server
  readonly #target: { readonly host: string; readonly port: number }
  readonly #pairs = new Set<readonly [Socket, Socket]>()
  #weather: Weather = CLEAR
  /** Connections taken so far. */
  connections = 0
  /** Connections cut so far. */
  cuts = 0

  private constructor(host: string, port: number) {
    this.#target = { host, port }
    this.#server = createServer((near) => this.#accept(near))
  }

  /** A proxy before the server of an address, and the same address by way of the proxy. */
  static async before(address: string, usualPort: number): Promise<{ proxy: WildProxy; url: string }> {
    const url = new URL(address)
    const proxy = new WildProxy(url.hostname, Number(url.port || usualPort))
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    url.hostname = '127.0.0.1'
    url.port = String((proxy.#server.address() as AddressInfo).port)
    return { proxy, url: url.href }
  }

  /** Changes the weather; what is not named clears up. */
  weather(weather: Partial<Weather> = {}): void {
    this.#weather = { ...CLEAR, ...weather }
    for (const pair of this.#pairs)
      for (const socket of pair) {
        if (this.#weather.blackHole) socket.pause()
        else socket.resume()
      }
  }

  /** Cuts all connections, with a reset to both sides. */
  reset(): void {
    for (const [near, far] of this.#pairs) {
      this.cuts++
      near.resetAndDestroy()
      far.resetAndDestroy()
    }
    this.#pairs.clear()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.reset()
  }

  #accept(near: Socket): void {
    this.connections++
    near.on('error', () => undefined)
    if (this.#weather.refuse) {
      near.resetAndDestroy()
      return
    }
    const far = connect(this.#target.port, this.#target.host)
    far.on('error', () => undefined)
    const pair = [near, far] as const
    this.#pairs.add(pair)
    for (const socket of pair) socket.setNoDelay(true)
    this.#pass(near, far)
    this.#pass(far, near)
    const end = (): void => {
      this.#pairs.delete(pair)
      near.destroy()
      far.destroy()
    }
    near.on('close', end)
    far.on('close', end)
  }

  /** Keeps the order, however the weather changes meanwhile. */
  #pass(from: Socket, to: Socket): void {
    let tail = Promise.resolve()
    let queued = 0
    let freeAt = 0
    if (this.#weather.blackHole) from.pause()
    from.on('data', (data) => {
      const { sliceBytes, latencyMs, bytesPerSecond } = this.#weather
      const now = performance.now()
      freeAt = Math.max(freeAt, now) + (data.length / bytesPerSecond) * 1000
      const writeAt = freeAt + latencyMs
      const write = (): void => {
        for (let at = 0; at < data.length && !to.destroyed; at += sliceBytes)
          to.write(data.subarray(at, Math.min(data.length, at + sliceBytes)))
      }
      if (queued === 0 && writeAt - now < 1) return write()
      queued++
      tail = tail.then(async () => {
        await sleep(writeAt - performance.now())
        queued--
        write()
      })
    })
  }
}
