import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Contract } from '../bridge/contracts/contract.ts'
import type { Message } from '../brokers/broker.ts'
import type { Asker } from './access.ts'
import { isCommandId, type Preference, parseIdempotencyKey, parsePreference } from './preferences.ts'
import { refusal } from './problems.ts'
import type { Runs } from './runs.ts'

/** What the HTTP server needs of the bridge to serve commands. Every message is one of the native contract. */
export interface CommandDoor {
  /**
   * Carries the command out and gives its native reply, whatever its outcome. When the signal aborts, nobody waits any
   * more: what was not sent may be withdrawn. Rejects when the command was not carried out because of us (shutting
   * down, store away): the caller is told to send it again.
   */
  run(message: Message, signal: AbortSignal): Promise<{ readonly reply: Message }>
  /**
   * Puts the command on the command queue; resolves when the broker has confirmed it. Rejects with the error of
   * `Broker.publish`, or with a `CommandError` when this bridge cannot queue native commands.
   */
  enqueue(message: Message): Promise<void>
  /** The native reply of a command that was queued, `pending` while there is none, `undefined` for an unknown id. */
  find(id: string): Promise<Message | 'pending' | undefined>
}

/** What the routes work with. */
export interface CommandRoutes {
  readonly door: CommandDoor
  readonly runs: Runs
  readonly contract: Contract
  /** Throws unless this caller may send commands. */
  readonly guard: (asker: Asker) => void
  readonly draining: () => boolean
  /** Aborts when the server closes: nobody is kept waiting then. */
  readonly closing: AbortSignal
  readonly newId: () => string
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** `POST /v1/commands` and `GET /v1/commands/{id}`; see `docs/http.md`. */
export function addCommandRoutes(server: FastifyInstance, routes: CommandRoutes): void {
  // Before the body is read: strangers cannot make us hold theirs.
  const onRequest = async (request: FastifyRequest): Promise<void> => {
    routes.guard({ address: request.socket.remoteAddress, headers: request.headers })
    if (request.headers['content-encoding'] !== undefined) throw refusal('MEDIA_TYPE_UNSUPPORTED')
  }
  server.post<{ Querystring: { async?: unknown } }>('/v1/commands', { onRequest }, (request, reply) =>
    send(request, reply, routes),
  )
  server.get<{ Params: { id: string } }>('/v1/commands/:id', { onRequest }, async (request, reply) => {
    const { id } = request.params
    if (!isCommandId(id)) throw refusal('COMMAND_NOT_FOUND')
    const found = (await routes.runs.find(id)) ?? (await routes.door.find(id))
    if (found === undefined) throw refusal('COMMAND_NOT_FOUND')
    return found === 'pending' ? answerPending(reply, id) : answerReply(reply, id, found)
  })
}

async function send(
  request: FastifyRequest<{ Querystring: { async?: unknown } }>,
  reply: FastifyReply,
  routes: CommandRoutes,
): Promise<FastifyReply> {
  if (routes.draining()) throw refusal('DRAINING')
  const prefer = parsePreference(headerOf(request, 'prefer'), request.query.async)
  const id = parseIdempotencyKey(headerOf(request, 'idempotency-key')) ?? routes.newId()
  const message = messageOf(request, id, routes.now())
  routes.contract.parse(message)
  reply.header('x-b24-id', id)
  if (prefer.applied !== undefined) reply.header('preference-applied', prefer.applied)
  if (prefer.async) {
    await routes.door.enqueue(message)
    return answerPending(reply, id)
  }
  return waitForReply(reply, id, message, prefer, routes)
}

async function waitForReply(
  reply: FastifyReply,
  id: string,
  message: Message,
  prefer: Preference,
  routes: CommandRoutes,
): Promise<FastifyReply> {
  const waiter = routes.runs.join(id, message)
  const wait = waitUntil(prefer.waitMs, reply, routes.closing)
  const ended = await Promise.race([waiter.reply, wait.over]).finally(wait.cancel)
  switch (ended) {
    case 'time over':
      waiter.askLater()
      return answerPending(reply, id)
    case 'closing':
      throw refusal('DRAINING')
    case 'hung up':
      waiter.hangUp()
      return reply.code(CLIENT_GONE).send()
    default:
      return answerReply(reply, id, ended)
  }
}

/** Nobody reads it; it stands in the metrics. */
const CLIENT_GONE = 499

type WaitEnd = 'time over' | 'hung up' | 'closing'

function waitUntil(
  ms: number,
  reply: FastifyReply,
  closing: AbortSignal,
): { over: Promise<WaitEnd>; cancel: () => void } {
  let cancel = (): void => undefined
  const over = new Promise<WaitEnd>((resolve) => {
    const timer = setTimeout(resolve, ms, 'time over')
    const onClose = (): void => resolve('hung up')
    const onClosing = (): void => resolve('closing')
    if (closing.aborted) onClosing()
    if (reply.raw.destroyed) onClose()
    closing.addEventListener('abort', onClosing)
    reply.raw.on('close', onClose)
    cancel = () => {
      clearTimeout(timer)
      closing.removeEventListener('abort', onClosing)
      reply.raw.off('close', onClose)
    }
  })
  return { over, cancel: () => cancel() }
}

/** Headers that a native command understands beside its body. */
const CARRIED = ['x-b24-portal', 'x-b24-priority', 'x-b24-order-key', 'traceparent'] as const

function messageOf(request: FastifyRequest, id: string, now: number): Message {
  const headers: Record<string, string> = {}
  for (const name of CARRIED) {
    const value = headerOf(request, name)
    if (value !== undefined) headers[name] = value
  }
  return {
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    headers,
    messageId: id,
    contentType: 'application/json',
    timestamp: Math.floor(now / 1000),
    persistent: true,
  }
}

function headerOf(request: FastifyRequest, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(', ') : value
}

function answerReply(reply: FastifyReply, id: string, message: Message): FastifyReply {
  reply.header('x-b24-id', id)
  for (const name of ['x-b24-outcome', 'x-b24-attempts', 'traceparent']) {
    const value = message.headers[name]
    if (typeof value === 'string' || typeof value === 'number') reply.header(name, value)
  }
  return reply.code(200).type('application/json; charset=utf-8').send(message.body)
}

function answerPending(reply: FastifyReply, id: string): FastifyReply {
  const status = `/v1/commands/${encodeURIComponent(id)}`
  return reply
    .code(202)
    .headers({ 'x-b24-id': id, location: status, 'retry-after': '1' })
    .send({ id, state: 'pending', status })
}
