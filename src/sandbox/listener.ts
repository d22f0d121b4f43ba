import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Duplex } from 'node:stream'
import type { KeyAndCertificate } from './certificate.ts'
import type { Ending } from './endings.ts'
import { type HttpAnswer, plainAnswer } from './respond.ts'

/** A request read to its end. */
export interface Incoming {
  readonly method: string
  /** As asked for, query included. */
  readonly target: string
  /** Repeated slashes are one. */
  readonly path: string
  readonly query: string
  readonly host: string
  readonly contentType: string
  readonly authorization: string
  readonly idempotencyKey: string | undefined
  readonly body: Buffer
  /** The address it came from, or the first of `X-Forwarded-For`. */
  readonly source: string
  readonly secure: boolean
}

/** A port that is listened on. */
export interface Listener {
  readonly port: number
  /** From now on requests are answered; until then they wait. */
  serve(handler: (incoming: Incoming) => Ending | Promise<Ending>): void
  /** From now on requests for a WebSocket are heard; offers of other protocols are not taken up. */
  serveUpgrades(handler: (request: IncomingMessage, socket: Duplex, head: Buffer) => void): void
  close(): Promise<void>
}

/** Listens; rejects when the port is taken. With a key and certificate it speaks https. */
export async function openListener(
  address: { readonly port: number; readonly host: string },
  pair: KeyAndCertificate | undefined,
): Promise<Listener> {
  const server = (pair === undefined ? createServer() : createSecureServer(pair)) as Server
  server.keepAliveTimeout = 75_000
  server.requestTimeout = 0
  const upgraded = new Set<Duplex>()
  await listen(server, address)
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    serve: (handler) => {
      server.on('request', (request, response) => {
        receive(request, (body) => void answer(request, response, handler, body))
      })
    },
    serveUpgrades: (handler) => {
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (request.headers.upgrade?.toLowerCase() !== 'websocket') {
          decline(server, request, socket, head)
          return
        }
        upgraded.add(socket)
        socket.once('close', () => upgraded.delete(socket))
        handler(request, socket, head)
      })
    },
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
        for (const socket of upgraded) socket.destroy()
      }),
  }
}

function listen(server: Server, { port, host }: { port: number; host: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host: host === 'localhost' ? '127.0.0.1' : host, backlog: 1024 }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** The request is read once more without its offer, such as Java's HTTP client makes of HTTP/2. */
function decline(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? ''
    if (!/^(?:upgrade|connection)$/i.test(name)) lines.push(`${name}: ${rawHeaders[index + 1]}`)
  }
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  server.emit('encrypted' in socket ? 'secureConnection' : 'connection', socket)
}

function receive(request: IncomingMessage, done: (body: Buffer) => void): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => done(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks)))
  request.on('error', () => request.destroy())
}

/** A mistake of ours is shown as the portal would show one of its own, and told on the console. */
async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  handler: (incoming: Incoming) => Ending | Promise<Ending>,
  body: Buffer,
): Promise<void> {
  try {
    const ending = handler(incomingFrom(request, body))
    finish(request, response, ending instanceof Promise ? await ending : ending)
  } catch (error) {
    console.error(error)
    write(
      response,
      plainAnswer({ error: 'INTERNAL_SERVER_ERROR', error_description: 'Internal server error' }, 500),
    )
  }
}

function incomingFrom(request: IncomingMessage, body: Buffer): Incoming {
  const target = request.url ?? '/'
  const mark = target.indexOf('?')
  return {
    method: request.method ?? 'GET',
    target,
    path: (mark < 0 ? target : target.slice(0, mark)).replace(/\/{2,}/g, '/'),
    query: mark < 0 ? '' : target.slice(mark + 1),
    host: request.headers.host ?? '',
    contentType: request.headers['content-type'] ?? '',
    authorization: request.headers.authorization ?? '',
    idempotencyKey: request.headers['idempotency-key']?.toString(),
    body,
    source: forwardedFor(request) ?? request.socket.remoteAddress ?? '',
    secure: 'encrypted' in request.socket,
  }
}

function forwardedFor(request: IncomingMessage): string | undefined {
  const header = request.headers['x-forwarded-for']
  return header === undefined ? undefined : String(header).split(',', 1)[0]?.trim()
}

function finish(request: IncomingMessage, response: ServerResponse, ending: Ending): void {
  if (ending.kind === 'hang') return
  if (ending.kind === 'held') {
    ending.by(response)
    return
  }
  if (ending.kind === 'reset') {
    if ('encrypted' in request.socket) request.socket.destroy()
    else request.socket.resetAndDestroy()
    return
  }
  const { ifLost } = ending
  if (ifLost !== undefined) response.once('close', () => response.writableFinished || ifLost())
  if (ending.delayMs <= 0) {
    write(response, ending.answer)
    return
  }
  const timer = setTimeout(() => write(response, ending.answer), ending.delayMs)
  response.once('close', () => clearTimeout(timer))
}

/** No header tells of the limits; real portals have none either. */
function write(response: ServerResponse, answer: HttpAnswer): void {
  const body = Buffer.from(answer.text)
  response.writeHead(answer.status, {
    'Content-Type': answer.contentType,
    'Content-Length': body.length,
    'Access-Control-Allow-Origin': '*',
    'Access-Control-Allow-Headers': 'origin, content-type, accept',
    'X-Content-Type-Options': 'nosniff',
    ...(answer.location === undefined ? {} : { Location: answer.location }),
    ...answer.headers,
  })
  response.end(body)
}
