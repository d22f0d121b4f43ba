import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { parse } from 'qs'
import { afterEach } from 'vitest'

/** A request that an application got. */
export interface Received {
  readonly method: string
  readonly url: URL
  readonly contentType: string
  /** The address it came from. */
  readonly source: string
  readonly text: string
  /** The form, its brackets made into objects. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into forms of any shape
  readonly form: any
}

/** The server of an application: keeps what comes in and answers with a status. */
export interface Receiver {
  readonly url: string
  readonly received: Received[]
  /** 0 closes the connection without an answer. */
  status: number
  /** How long an answer takes. */
  delayMs: number
}

const running: { close(): unknown }[] = []

/** A receiver on a free port, closed when the test is over. */
export async function openReceiver(): Promise<Receiver> {
  const server = createServer(async (request, response) => {
    receiver.received.push(await read(request, receiver.url))
    if (receiver.delayMs > 0) await sleep(receiver.delayMs)
    if (receiver.status === 0) request.socket.destroy()
    else response.writeHead(receiver.status, { Location: `${receiver.url}elsewhere` }).end('ok')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  running.push({ close: () => server.close().closeAllConnections() })
  const receiver: Receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    received: [],
    status: 200,
    delayMs: 0,
  }
  return receiver
}

async function read(request: IncomingMessage, base: string): Promise<Received> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  return {
    method: request.method ?? '',
    url: new URL(request.url ?? '/', base),
    contentType: request.headers['content-type'] ?? '',
    source: request.socket.remoteAddress ?? '',
    text,
    form: parse(text),
  }
}

afterEach(() => {
  for (const server of running.splice(0)) server.close()
})
