import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** A way to the broker that can be shut. */
export interface Gate extends AsyncDisposable {
  /** The address to use instead of the broker's own. */
  readonly url: string
  /** Cuts all connections and refuses new ones. */
  shut(): void
  open(): void
}

/** Opens one in front of a broker. */
export async function openGate(amqpUrl: string): Promise<Gate> {
  const target = new URL(amqpUrl)
  const sockets = new Set<Socket>()
  let shut = false
  const server = createServer((near) => {
    near.on('error', () => undefined)
    if (shut) {
      near.resetAndDestroy()
      return
    }
    const far = connect(Number(target.port || 5672), target.hostname)
    far.on('error', () => undefined)
    for (const socket of [near, far]) {
      socket.setNoDelay(true)
      sockets.add(socket)
      socket.on('close', () => {
        sockets.delete(socket)
        near.destroy()
        far.destroy()
      })
    }
    near.pipe(far)
    far.pipe(near)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  const cut = (): void => {
    for (const socket of sockets) socket.destroy()
  }
  return {
    url: url.href,
    shut() {
      shut = true
      cut()
    },
    open() {
      shut = false
    },
    async [Symbol.asyncDispose]() {
      cut()
      server.close()
    },
  }
}
