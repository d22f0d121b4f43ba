import { onTestFinished } from 'vitest'
import { createMetrics, type Metrics } from '../../src/http/metrics.ts'
import {
  createHttpServer,
  type HealthReport,
  type HttpServer,
  type HttpServerOptions,
} from '../../src/http/server.ts'
import { createSmallDoor, type SmallDoor } from './door.ts'

/** A server on a real socket, closed when the test ends. */
export interface Running {
  readonly url: string
  readonly port: number
  readonly door: SmallDoor
  readonly metrics: Metrics
  readonly server: HttpServer
  readonly logged: { event: string; fields: Readonly<Record<string, unknown>> }[]
  /** What the service reports; change it to see what becomes of readiness. */
  health: HealthReport
}

export const TOKEN = 'correct-horse-battery-staple'

/** Starts a server; `adminToken: undefined` leaves the token out. */
export async function running(options: Partial<HttpServerOptions> = {}): Promise<Running> {
  const door = createSmallDoor()
  const metrics = createMetrics({ processMetrics: false })
  const logged: Running['logged'] = []
  const server = createHttpServer({
    host: '127.0.0.1',
    port: 0,
    adminToken: TOKEN,
    allowedHosts: ['*'],
    corsHosts: [],
    commands: door,
    health: () => all.health,
    metrics,
    log: (event, fields) => logged.push({ event, fields }),
    ...options,
  })
  const { url, port } = await server.listen()
  const all: Running = {
    url,
    port,
    door,
    metrics,
    server,
    logged,
    health: {
      draining: false,
      started: true,
      parts: [
        { name: 'broker', ok: true },
        { name: 'store', ok: true },
      ],
    },
  }
  onTestFinished(() => {
    door.release()
    return server.close()
  })
  return all
}

/** An answer as tests look at it. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly text: string
  // biome-ignore lint/suspicious/noExplicitAny: tests reach into any JSON
  readonly json: any
}

/** One request with the right token, unless `headers` says otherwise. */
export async function ask(url: string, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, {
    ...init,
    headers: { authorization: `Bearer ${TOKEN}`, ...(init.headers as Record<string, string>) },
  })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: isJson ? JSON.parse(text) : undefined,
  }
}

/** Sends a command. */
export function post(
  { url }: Running,
  body: unknown,
  headers: Record<string, string> = {},
  rest: RequestInit & { query?: string } = {},
): Promise<Answer> {
  return ask(`${url}/v1/commands${rest.query ?? ''}`, {
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
    ...rest,
    headers: { 'content-type': 'application/json', ...headers },
  })
}
