import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { type ChannelModel, connect, type SocketOptions } from 'amqplib'
import type { AmqpEndpoint } from './url.ts'

/** Files and names for `amqps://`; the files are read anew at each connection, so renewed certificates need no restart. */
export interface AmqpTls {
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
  readonly passphrase?: string
  readonly serverName?: string
  /** Only for tests with self-signed certificates; true unless said otherwise. */
  readonly rejectUnauthorized?: boolean
}

export interface DialOptions {
  /** Shown in the broker's list of connections: https://www.rabbitmq.com/docs/connections#client-provided-names */
  readonly connectionName: string
  readonly heartbeatSeconds: number
  readonly connectTimeoutMs: number
  readonly tls?: AmqpTls
}

/**
 * One attempt to connect, handshake included. Rejects after `connectTimeoutMs` whatever the far side does, and as soon
 * as `signal` is aborted; a connection that comes up later than that is closed again.
 */
export async function dial(
  endpoint: AmqpEndpoint,
  options: DialOptions,
  signal: AbortSignal,
): Promise<ChannelModel> {
  const { connectTimeoutMs, connectionName, heartbeatSeconds, tls } = options
  // The library's own time-out only watches for silence, and it knows no signal.
  const attempt = new AbortController()
  const abort = () => attempt.abort()
  signal.addEventListener('abort', abort)
  let late = false
  let timer: NodeJS.Timeout | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      late = true
      reject(
        new Error(
          `${endpoint.hostname}:${endpoint.port} did not complete the handshake in ${connectTimeoutMs} ms`,
        ),
      )
      abort()
    }, connectTimeoutMs)
  })
  const opening = connect(
    {
      protocol: endpoint.protocol,
      hostname: endpoint.hostname,
      port: endpoint.port,
      username: endpoint.username,
      password: endpoint.password,
      // The library unescapes it once more.
      vhost: encodeURIComponent(endpoint.vhost),
      heartbeat: endpoint.heartbeatSeconds ?? heartbeatSeconds,
      frameMax: endpoint.frameMax ?? 131_072,
      channelMax: endpoint.channelMax ?? 2047,
    },
    {
      noDelay: true,
      keepAlive: true,
      signal: attempt.signal,
      clientProperties: { connection_name: connectionName },
      ...(endpoint.protocol === 'amqps' ? readTls(tls) : {}),
    } as SocketOptions,
  )
  opening.then(
    (model) => {
      if (!late) return
      model.on('error', () => {})
      void hangUp(model)
    },
    () => {},
  )
  try {
    const model = await Promise.race([opening, expired])
    joinWrites(model)
    return model
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}

/** The socket under a connection, which the library keeps to itself. */
function socketOf(model: ChannelModel): Socket | undefined {
  return (model.connection as unknown as { stream?: Socket }).stream
}

/**
 * The library hands the socket one frame after another, and each would be a system call. What is written in one turn of
 * the event loop leaves in one, in the same order.
 */
function joinWrites(model: ChannelModel): void {
  const socket = socketOf(model)
  if (socket === undefined) return
  const write = socket.write.bind(socket) as (...args: unknown[]) => boolean
  const uncork = (): void => socket.uncork()
  socket.write = (...args: unknown[]): boolean => {
    if (socket.writableCorked === 0) {
      socket.cork()
      process.nextTick(uncork)
    }
    return write(...args)
  }
}

/** Closes a connection politely, and after two seconds by cutting it. Never rejects. */
export async function hangUp(model: ChannelModel): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const patience = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, 2000)
  })
  try {
    await Promise.race([model.close(), patience])
  } catch {
    // Gone already.
  }
  clearTimeout(timer)
  cut(model)
}

/** Destroys the socket under a connection. With an error, for only that tells the library that the connection is gone. */
export function cut(model: ChannelModel): void {
  socketOf(model)?.destroy(new Error('the connection was cut'))
}

function readTls(tls: AmqpTls = {}): Record<string, unknown> {
  return {
    ...(tls.caFile === undefined ? {} : { ca: [readFileSync(tls.caFile)] }),
    ...(tls.certFile === undefined ? {} : { cert: readFileSync(tls.certFile) }),
    ...(tls.keyFile === undefined ? {} : { key: readFileSync(tls.keyFile) }),
    ...(tls.passphrase === undefined ? {} : { passphrase: tls.passphrase }),
    ...(tls.serverName === undefined ? {} : { servername: tls.serverName }),
    ...(tls.rejectUnauthorized === undefined ? {} : { rejectUnauthorized: tls.rejectUnauthorized }),
  }
}
