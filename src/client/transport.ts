import { StringDecoder } from 'node:string_decoder'
import { type Dispatcher, Pool } from 'undici'
import { TransportError } from '../model/errors.ts'
import { trusting } from './authorities.ts'

/** What came back: a status, the text of the body, and where a redirect points. */
export interface HttpAnswer {
  readonly status: number
  readonly text: string
  readonly location: string | undefined
}

/** Sends one POST and says honestly what is known when there is no answer. */
export interface Transport {
  /**
   * Posts JSON and resolves with whatever HTTP answer comes, redirects included: they are never followed here,
   * because following turns a POST into a GET and loses the parameters.
   *
   * Rejects with a `TransportError`; `sent` is `false` only when no byte of the request left this machine.
   */
  post(
    origin: string,
    path: string,
    body: string,
    more?: {
      readonly idempotencyKey?: string
      /** Besides, or in place of, the usual ones. */
      readonly headers?: Readonly<Record<string, string>>
    },
  ): Promise<HttpAnswer>
  /** Ends idle connections; requests under way are cut. Twice is harmless. */
  close(): Promise<void>
}

export interface TransportOptions {
  /** Milliseconds for a whole request. The cloud cuts at 60 s itself, so the default is 65 s. */
  readonly timeoutMs?: number
  /** Milliseconds to open a connection; default 10 s. */
  readonly connectTimeoutMs?: number
  /** Bytes of a response body that are read before it is given up; default 256 MiB. */
  readonly maxResponseBytes?: number
  /** Connections to one origin; default 16. */
  readonly connections?: number
  /** Certificates (PEM) to trust besides the system's, for portals with a self-made one. */
  readonly ca?: string
  readonly userAgent?: string
}

/**
 * A transport over keep-alive connections, one pool an origin. No pipelining and no repeating: whether a request
 * may be sent twice is for the lane to say.
 */
export function createTransport(options: TransportOptions = {}): Transport {
  const pools = new Map<string, Pool>()
  const timeoutMs = options.timeoutMs ?? 65_000
  const maxBytes = options.maxResponseBytes ?? 256 * 1024 * 1024
  const headers = {
    'content-type': 'application/json',
    accept: 'application/json',
    'user-agent': options.userAgent ?? 'bitrix24-bridge',
  }
  let closed = false

  const poolFor = (origin: string): Pool => {
    let pool = pools.get(origin)
    if (pool === undefined) {
      pool = new Pool(origin, {
        connections: options.connections ?? 16,
        pipelining: 1,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        connect: {
          timeout: options.connectTimeoutMs ?? 10_000,
          ...trusting(options.ca),
        },
      })
      pools.set(origin, pool)
    }
    return pool
  }

  return {
    post(origin, path, body, { idempotencyKey, headers: own } = {}) {
      if (closed)
        return Promise.reject(new TransportError('CLIENT_CLOSED', 'The client is closed', { sent: false }))
      return new Promise((resolve, reject) => {
        const exchange = new Exchange(resolve, reject, timeoutMs, maxBytes, origin)
        const all =
          idempotencyKey === undefined && own === undefined
            ? headers
            : {
                ...headers,
                ...own,
                ...(idempotencyKey === undefined ? {} : { 'idempotency-key': idempotencyKey }),
              }
        poolFor(origin).dispatch({ path, method: 'POST', headers: all, body }, exchange)
      })
    },
    async close() {
      closed = true
      await Promise.all([...pools.values()].map((pool) => pool.destroy()))
      pools.clear()
    },
  }
}

/** One request under way, from the moment it is queued to its answer or error. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #resolve: (answer: HttpAnswer) => void
  readonly #reject: (error: TransportError) => void
  readonly #origin: string
  readonly #maxBytes: number
  readonly #decoder = new StringDecoder('utf8')
  #text = ''
  readonly #timer: NodeJS.Timeout
  #controller: Dispatcher.DispatchController | undefined
  /** Set when the request was handed to an open connection: from then on it may have reached the portal. */
  #sent: false | 'maybe' = false
  #timedOut = false
  #tooLarge = false
  #bytes = 0
  #status = 0
  #location: string | undefined

  constructor(
    resolve: (answer: HttpAnswer) => void,
    reject: (error: TransportError) => void,
    timeoutMs: number,
    maxBytes: number,
    origin: string,
  ) {
    this.#resolve = resolve
    this.#reject = reject
    this.#maxBytes = maxBytes
    this.#origin = origin
    this.#timer = setTimeout(() => {
      this.#timedOut = true
      if (this.#controller !== undefined) this.#controller.abort(new Error('timed out'))
      else this.#fail(new Error('timed out'))
    }, timeoutMs)
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#timedOut) {
      controller.abort(new Error('timed out'))
      return
    }
    this.#sent = 'maybe'
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    this.#status = status
    const location = headers.location
    this.#location = Array.isArray(location) ? location[0] : location
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#bytes += chunk.length
    if (this.#bytes > this.#maxBytes) {
      this.#tooLarge = true
      controller.abort(new Error(`larger than ${this.#maxBytes} bytes`))
      return
    }
    // Text at once: an answer of megabytes would otherwise lie in memory three times when it ends.
    this.#text += this.#decoder.write(chunk)
  }

  onResponseEnd(): void {
    clearTimeout(this.#timer)
    const text = this.#text + this.#decoder.end()
    this.#resolve({ status: this.#status, text, location: this.#location })
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(error)
  }

  #fail(error: Error): void {
    clearTimeout(this.#timer)
    const host = new URL(this.#origin).host
    const cause = rootCause(error)
    const { code, what, hint = HINTS[cause] } = this.#ending()
    this.#reject(
      new TransportError(code, `The portal ${host} ${what} (${cause})`, {
        sent: this.#sent,
        status: this.#status,
        ...(hint === undefined ? {} : { hint }),
      }),
    )
  }

  #ending(): { readonly code: string; readonly what: string; readonly hint?: string } {
    if (this.#timedOut) return { code: 'TIMEOUT', what: 'gave no answer in time' }
    if (this.#tooLarge) {
      const hint = 'Ask for fewer fields with select, or for fewer rows.'
      return { code: 'ANSWER_TOO_LARGE', what: 'sends more than we read', hint }
    }
    if (this.#sent === false) return { code: 'CONNECT_FAILED', what: 'cannot be reached' }
    return { code: 'CONNECTION_LOST', what: 'broke off' }
  }
}

/** The system's own word for what went wrong (`ECONNREFUSED`), never an address. */
function rootCause(error: unknown): string {
  let at: unknown = error
  for (let depth = 0; depth < 5 && at instanceof Error; depth++) {
    if (at instanceof AggregateError && at.errors.length > 0) at = at.errors[0]
    const code = (at as { code?: unknown }).code
    if (typeof code === 'string' && !code.startsWith('UND_ERR_INFO')) return code
    if (at instanceof Error && at.cause === undefined) return at.message
    at = (at as Error).cause
  }
  return 'unknown reason'
}

const HINTS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Nothing listens there: is the portal running, is the port right?',
  ENOTFOUND: 'The name does not exist: is the portal address spelled right?',
  EAI_AGAIN: 'The name could not be looked up: is DNS working on this machine?',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'The portal has a self-made certificate: name its file in BRIDGE_TLS_CA.',
  SELF_SIGNED_CERT_IN_CHAIN: 'The portal has a self-made certificate: name its file in BRIDGE_TLS_CA.',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    'The certificate chain is incomplete: name the issuer file in BRIDGE_TLS_CA.',
  CERT_HAS_EXPIRED: "The portal's certificate has expired.",
}
