import { type AddressInfo, createServer } from 'node:net'

/** A free port with two free ones behind it, as far as one can tell. */
export async function freePorts(): Promise<number> {
  for (;;) {
    const first = await freePort(0)
    if (first < 65_000 && (await freePort(first + 1)) > 0 && (await freePort(first + 2)) > 0) return first
  }
}

function freePort(port: number): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer()
    server.on('error', () => resolve(-1))
    server.listen(port, '127.0.0.1', () => {
      const found = (server.address() as AddressInfo).port
      server.close(() => resolve(found))
    })
  })
}
