import { BridgeError, RestError, TransportError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import { createAlarms } from '../../util/alarms.ts'
import type { PushFormat } from './address.ts'
import type { PushConfig } from './config.ts'
import { PushCore, type PushMode, type PushTiming } from './core.ts'
import type { PushMessage } from './message.ts'
import type { Connected, PushAction, PushInput } from './moves.ts'
import { createPoller } from './poll.ts'
import type { Position } from './position.ts'
import { openSocket, type PushSocket } from './socket.ts'

/** Listens for the messages of many applications on many portals. */
export interface PushClient {
  /** Begins to listen; the first steps of many are taken one after another. */
  open(options: PushConnectionOptions): PushConnection
  /** Ends all connections. Twice is harmless. */
  close(): Promise<void>
}

/** Who listens, and to what. */
export interface PushConnectionOptions {
  /** Asks the portal where to listen; rejects when it cannot say. */
  readonly ask: () => Promise<PushConfig>
  /** Where an earlier connection stopped. */
  readonly position?: Position | undefined
  /** When that one last heard something. */
  readonly heardAt?: number | undefined
  /** New messages in order, each once; say `handled` when they are where they belong. */
  readonly onMessages: (messages: readonly PushMessage[]) => void
  readonly onConnected: (connected: Connected) => void
  /** What people may want to read; without any address or channel. */
  readonly report: (event: string, fields: JsonObject) => void
}

/** One application on one portal. */
export interface PushConnection {
  readonly mode: PushMode
  readonly handled: (messages: readonly PushMessage[]) => void
  /** Stops listening until `release`; the server keeps what comes. */
  hold(): void
  release(): void
  /** Something changed on the portal's side: one that was halted asks again. */
  retry(): void
  /** Nothing is heard afterwards. Twice is harmless. */
  close(): void
}

export interface PushClientOptions {
  readonly now: () => number
  readonly random: () => number
  readonly format?: PushFormat
  /** Certificates (PEM) to trust besides the system's. */
  readonly ca?: string
  readonly userAgent?: string
  readonly timing?: Partial<PushTiming>
}

/** Between the first steps of two connections. */
const START_MS = 10

/** A client that holds one timer for all its connections, and no socket before the first one. */
export function createPushClient(options: PushClientOptions): PushClient {
  const { now, ca, userAgent = 'bitrix24-bridge' } = options
  const alarms = createAlarms<RunningConnection>((connection) => connection.ring(), now)
  const poller = createPoller({ ca, userAgent })
  const connections = new Set<RunningConnection>()
  let startAt = 0
  const shared: Shared = {
    ...options,
    wake: (connection, at) => alarms.set(connection, at),
    poll: poller.poll,
    connect: (address, events) => openSocket(address, events, { ca, userAgent }),
    forget: (connection) => connections.delete(connection),
  }
  return {
    open(wanted) {
      const connection = new RunningConnection(wanted, shared)
      connections.add(connection)
      startAt = Math.max(startAt + START_MS, now())
      alarms.set(connection, startAt)
      return connection
    },
    async close() {
      for (const connection of connections) connection.close()
      alarms.close()
      await poller.close()
    },
  }
}

interface Shared extends PushClientOptions {
  readonly wake: (connection: RunningConnection, at: number | undefined) => void
  readonly poll: ReturnType<typeof createPoller>['poll']
  readonly connect: (address: string, events: Parameters<typeof openSocket>[1]) => PushSocket
  readonly forget: (connection: RunningConnection) => void
}

/** Carries out what the core decides, one input after another. */
class RunningConnection implements PushConnection {
  readonly #options: PushConnectionOptions
  readonly #shared: Shared
  readonly #core: PushCore
  readonly #inputs: PushInput[] = []
  #busy = false
  #socket: PushSocket | undefined
  #polling: AbortController | undefined

  constructor(options: PushConnectionOptions, shared: Shared) {
    this.#options = options
    this.#shared = shared
    const { random, format, timing } = shared
    const { position, heardAt } = options
    this.#core = new PushCore({
      random,
      position,
      heardAt,
      ...(format === undefined ? {} : { format }),
      ...(timing === undefined ? {} : { timing }),
    })
  }

  get mode(): PushMode {
    return this.#core.mode
  }

  handled(messages: readonly PushMessage[]): void {
    this.#take({ type: 'handled', messages })
  }

  hold(): void {
    this.#take({ type: 'hold' })
  }

  release(): void {
    this.#take({ type: 'release' })
  }

  retry(): void {
    this.#take({ type: 'retry' })
  }

  ring(): void {
    this.#take({ type: this.#core.mode === 'idle' ? 'start' : 'tick' })
  }

  close(): void {
    this.#take({ type: 'stop' })
    this.#shared.forget(this)
  }

  /** What is told while something is carried out waits for its turn. */
  #take(input: PushInput): void {
    this.#inputs.push(input)
    if (this.#busy) return
    this.#busy = true
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift())
      for (const action of this.#core.handle(next, this.#shared.now())) this.#perform(action)
    this.#busy = false
    if (this.#core.mode !== 'idle') this.#shared.wake(this, this.#core.wakeAt)
  }

  #perform(action: PushAction): void {
    if (action.do === 'ask') void this.#ask(action.turn)
    else if (action.do === 'connect') this.#connect(action.address, action.turn)
    else if (action.do === 'poll') void this.#poll(action.address, action.turn)
    else if (action.do === 'close') this.#end(action.code)
    else if (action.do === 'send') this.#socket?.send(action.text)
    else if (action.do === 'ping') this.#socket?.ping()
    else if (action.do === 'deliver') this.#options.onMessages(action.messages)
    else if (action.do === 'connected') this.#options.onConnected(action)
    else this.#options.report(action.event, action.fields)
  }

  async #ask(turn: number): Promise<void> {
    try {
      this.#take({ type: 'configured', turn, config: await this.#options.ask() })
    } catch (error) {
      const code = error instanceof BridgeError ? error.code : 'UNEXPECTED'
      this.#take({ type: 'refused', turn, code, lasting: isLasting(error) })
    }
  }

  #connect(address: string, turn: number): void {
    this.#socket = this.#shared.connect(address, {
      opened: () => this.#take({ type: 'opened', turn }),
      alive: () => this.#take({ type: 'alive', turn }),
      frame: (data) => this.#take({ type: 'frame', turn, data }),
      closed: (code, text) => {
        this.#socket = undefined
        this.#take({ type: 'closed', turn, code, text })
      },
    })
  }

  #end(code: number): void {
    this.#socket?.close(code)
    this.#polling?.abort()
    this.#socket = undefined
    this.#polling = undefined
  }

  async #poll(address: string, turn: number): Promise<void> {
    this.#polling = new AbortController()
    const answer = await this.#shared.poll(address, this.#polling.signal)
    this.#take({ type: 'polled', turn, ...answer })
  }
}

/** True for an answer that will be the same in a minute: the scope is missing, the portal has no push server. */
function isLasting(error: unknown): boolean {
  if (!(error instanceof BridgeError) || error.retryable || error instanceof TransportError) return false
  if (error instanceof RestError) return error.status < 500 || error.code === 'SERVER_ERROR'
  return error.code !== 'CLIENT_CLOSED'
}
