import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** How the network behaves; each part holds for connections that exist, too. */
export interface Weather {
  /**
   * Nothing passes, both ways or only what one side says, and nobody is told. What was sent meanwhile arrives when it is
   * over.
   */
  readonly blackHole: false | 'both' | 'questions' | 'answers'
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
    for (const pair of this.#pairs) this.#hold(pair)
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
    const sent = this.#pass(near, far)
    const answered = this.#pass(far, near)
    this.#hold(pair)
    // What is on its way still arrives: a network does not know that the sender has died.
    near.on('close', () => {
      this.#pairs.delete(pair)
      sent().then(() => far.destroy())
    })
    far.on('close', () => {
      this.#pairs.delete(pair)
      answered().then(() => near.destroy())
    })
  }

  #hold([near, far]: readonly [Socket, Socket]): void {
    const { blackHole } = this.#weather
    if (blackHole === 'both' || blackHole === 'questions') near.pause()
    else near.resume()
    if (blackHole === 'both' || blackHole === 'answers') far.pause()
    else far.resume()
  }

  /** Keeps the order, however the weather changes meanwhile. Gives what resolves when all that came has been passed on. */
  #pass(from: Socket, to: Socket): () => Promise<void> {
    let tail = Promise.resolve()
    let queued = 0
    let freeAt = 0
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
    return () => tail
  }
}
