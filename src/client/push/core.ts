import type { JsonObject } from '../../model/json.ts'
import { connectionAddress, type PushFormat, REVISION } from './address.ts'
import { backoffMs, between } from './backoff.ts'
import type { PushConfig } from './config.ts'
import { codeInText, isWrongChannel, type Purpose, purposeOf } from './control.ts'
import { Fallback, type PushTransport } from './fallback.ts'
import { Inbox } from './inbox.ts'
import type { PushMessage } from './message.ts'
import type { Polled, PushAction, PushInput } from './moves.ts'
import type { Position } from './position.ts'

/**
 * Where a connection is in its life. It does nothing itself: inputs go in, actions come out, and `wakeAt` says when it
 * wants to hear the time.
 *
 * - `idle`: not started.
 * - `asking`: the portal was asked for the configuration.
 * - `waiting`: until `#until`; then it asks or connects, as `#next` says.
 * - `opening`: a socket was begun; at `#until` it is given up.
 * - `open`: a socket. Quiet for `quietMs` it is pinged; without a sign of life `answerMs` later it is dead.
 * - `polling`: a long poll is under way; at `#until` it is given up.
 * - `held`: the consumer is behind and nothing is connected; the server keeps what comes for a day.
 * - `halted`: the portal has no push server for us, or one that we do not understand; asked again at `#until`.
 * - `closed`: for good.
 *
 * Everything that is begun gets a number, `#turn`, which rises when it ends.
 */
export type PushMode =
  | 'idle'
  | 'asking'
  | 'waiting'
  | 'opening'
  | 'open'
  | 'polling'
  | 'held'
  | 'halted'
  | 'closed'

export interface PushCoreOptions {
  readonly random: () => number
  readonly format?: PushFormat
  readonly position?: Position | undefined
  /** When something was last heard, as an earlier process left it. */
  readonly heardAt?: number | undefined
  readonly timing?: Partial<PushTiming>
}

/** How long what may take, in milliseconds. */
export interface PushTiming {
  readonly openMs: number
  readonly quietMs: number
  readonly answerMs: number
  readonly pollMs: number
}

const TIMING: PushTiming = { openMs: 20_000, quietMs: 60_000, answerMs: 20_000, pollMs: 60_000 }

/** A socket that was open for so long was no error, whatever ended it. */
const PROVED_MS = 10_000
/** A portal that has nothing for us is asked again after so long. */
const HALT_MS = 10 * 60_000
const ASK_AGAIN_MS = 10_000
/** A fresh configuration that has run out already means that our clock is wrong. */
const EXPIRED_AT_ONCE_MS = 60_000
const HISTORY_MS = 24 * 3_600_000
/** Commands of the history that are older are no news. */
const OLD_NEWS_MS = 10 * 60_000
/** From here on the address itself may be what is wrong. */
const ASK_AFTER_ERRORS = 3

/** The decisions about one connection. */
export class PushCore {
  readonly #random: () => number
  readonly #format: PushFormat
  readonly #timing: PushTiming
  readonly #fallback = new Fallback()
  readonly #inbox: Inbox
  #mode: PushMode = 'idle'
  #turn = 0
  #config: PushConfig | undefined
  /** Channels that changed while nothing was connected, until their history was read. */
  #former: readonly string[] = []
  #next: 'ask' | 'connect' = 'ask'
  #until = 0
  /** In a row. */
  #errors = 0
  #askedAt = Number.NEGATIVE_INFINITY
  /** 0 while not connected. */
  #openedAt = 0
  #heardAt: number | undefined
  /** When the ping was sent that nothing has answered yet. */
  #pingedAt: number | undefined
  #expiryAt = Number.POSITIVE_INFINITY
  #holding = false

  constructor(options: PushCoreOptions) {
    this.#random = options.random
    this.#format = options.format ?? 'json'
    this.#timing = { ...TIMING, ...options.timing }
    this.#inbox = new Inbox(options.position)
    this.#heardAt = options.heardAt
  }

  get mode(): PushMode {
    return this.#mode
  }

  /** When it wants a `tick`; `undefined` while only others can move it. */
  get wakeAt(): number | undefined {
    const mode = this.#mode
    if (mode === 'open') return Math.min(this.#expiryAt, this.#deadAt())
    const timed = mode === 'waiting' || mode === 'halted' || mode === 'opening' || mode === 'polling'
    return timed ? this.#until : undefined
  }

  handle(input: PushInput, now: number): readonly PushAction[] {
    if (this.#mode === 'closed' || ('turn' in input && input.turn !== this.#turn)) return []
    switch (input.type) {
      case 'start':
        return this.#mode === 'idle' ? this.#ask(now) : []
      case 'retry':
        return this.#mode === 'halted' ? this.#ask(now) : []
      case 'tick':
        return now < (this.wakeAt ?? Number.POSITIVE_INFINITY) ? [] : this.#tick(now)
      case 'configured':
        return this.#configured(input.config, now)
      case 'refused':
        return this.#refused(input.code, input.lasting, now)
      case 'opened':
        this.#mode = 'open'
        this.#fallback.opened()
        return [this.#connected('websocket', now)]
      case 'alive':
        this.#heard(now)
        return []
      case 'frame':
        this.#heard(now)
        return this.#read(input.data, now)
      case 'closed':
        return this.#broken(codeInText(input.text) ?? input.code, now)
      case 'polled':
        return this.#polled(input, now)
      case 'handled':
        return this.#mode === 'open' ? this.#inbox.acknowledge(input.messages).map(send) : []
      case 'hold':
        this.#holding = true
        return this.#isUp() ? this.#end('held') : []
      case 'release':
        this.#holding = false
        return this.#mode === 'held' ? this.#connect(now) : []
      case 'stop':
        return this.#end('closed')
    }
  }

  #tick(now: number): readonly PushAction[] {
    if (this.#mode === 'waiting' && this.#next === 'connect') return this.#connect(now)
    if (this.#mode === 'waiting' || this.#mode === 'halted') return this.#ask(now)
    if (this.#mode === 'open') return now >= this.#expiryAt ? this.#renew(3003, 0, now) : this.#watch(now)
    return [close(3005), ...this.#broken(1006, now)]
  }

  #ask(now: number): readonly PushAction[] {
    this.#mode = 'asking'
    this.#askedAt = now
    return [{ do: 'ask', turn: ++this.#turn }]
  }

  #configured(config: PushConfig, now: number): readonly PushAction[] {
    const { revision = 0 } = config
    if (revision > 0 && revision !== REVISION) {
      return this.#halt('push.revision', { revision, known: REVISION }, now)
    }
    if (this.#errors > 0 && this.#former.length === 0) {
      const before = this.#config?.channels ?? []
      this.#former = before.filter((channel) => !config.channels.includes(channel))
    }
    this.#config = config
    return this.#connect(now)
  }

  #refused(code: string, lasting: boolean, now: number): readonly PushAction[] {
    if (lasting) return this.#halt('push.unavailable', { code }, now)
    this.#errors++
    return this.#wait('ask', Math.max(ASK_AGAIN_MS, backoffMs(this.#errors, this.#random)), now, [
      'push.unconfigured',
      { code, errors: this.#errors },
    ])
  }

  #halt(event: string, fields: JsonObject, now: number): readonly PushAction[] {
    this.#mode = 'halted'
    this.#turn++
    const waitMs = between(HALT_MS, 1.2 * HALT_MS, this.#random)
    this.#until = now + waitMs
    return [{ do: 'report', event, fields: { ...fields, waitMs } }]
  }

  #wait(
    next: 'ask' | 'connect',
    waitMs: number,
    now: number,
    [event, fields]: readonly [string, JsonObject],
  ): readonly PushAction[] {
    this.#mode = 'waiting'
    this.#turn++
    this.#next = next
    this.#until = now + waitMs
    return [{ do: 'report', event, fields: { ...fields, waitMs } }]
  }

  #connect(now: number): readonly PushAction[] {
    if (this.#holding) return this.#end('held')
    const config = this.#config as PushConfig
    const offered = { websocket: config.websocket !== undefined, polling: config.longPolling !== undefined }
    const transport = this.#fallback.choose(offered, now)
    const address = connectionAddress(
      { ...config, channels: [...config.channels, ...this.#former] },
      { transport, position: this.#inbox.position, format: this.#format },
    )
    const socket = transport === 'websocket'
    this.#mode = socket ? 'opening' : 'polling'
    this.#until = now + (socket ? this.#timing.openMs : this.#timing.pollMs)
    const turn = ++this.#turn
    return [socket ? { do: 'connect', turn, address } : { do: 'poll', turn, address }]
  }

  #connected(transport: PushTransport, now: number): PushAction {
    const away = now - (this.#heardAt ?? now)
    this.#openedAt = now
    this.#heard(now)
    const { expiresAt = Number.POSITIVE_INFINITY } = this.#config as PushConfig
    // Channels that have run out still give their history; new ones are asked for when that was read.
    const least = now - this.#askedAt < EXPIRED_AT_ONCE_MS ? EXPIRED_AT_ONCE_MS : PROVED_MS
    this.#expiryAt = Math.max(expiresAt, now + least)
    const begin = this.#inbox.begin(now)
    return {
      do: 'connected',
      transport,
      ...(begin === undefined ? {} : { begin }),
      ...(away > HISTORY_MS ? { gapMs: away } : {}),
    }
  }

  #heard(now: number): void {
    this.#heardAt = now
    this.#pingedAt = undefined
  }

  #deadAt(): number {
    const { quietMs, answerMs } = this.#timing
    return this.#pingedAt === undefined ? (this.#heardAt as number) + quietMs : this.#pingedAt + answerMs
  }

  /** A machine that dies at the other end closes nothing: only silence tells. */
  #watch(now: number): readonly PushAction[] {
    if (this.#pingedAt !== undefined) return [close(3005), ...this.#broken(1006, now)]
    this.#pingedAt = now
    return [{ do: 'ping' }]
  }

  #read(data: string | Buffer, now: number): readonly PushAction[] {
    const { messages, answers, faults } = this.#inbox.read(data)
    return [
      ...answers.map(send),
      ...faults.map((fields): PushAction => ({ do: 'report', event: 'push.unreadable', fields })),
      ...(messages.length === 0 ? [] : [{ do: 'deliver', messages } as const]),
      ...this.#obey(messages, now),
    ]
  }

  /** Does what messages for the connection itself ask for; the gravest of a frame counts. */
  #obey(messages: readonly PushMessage[], now: number): readonly PushAction[] {
    const said = new Set<Purpose>()
    for (const message of messages) {
      const purpose = purposeOf(message)
      const old = message.sentAt !== undefined && message.sentAt < now - OLD_NEWS_MS
      if (purpose === 'channels' || !old) said.add(purpose)
    }
    const soon = between(10_000, 120_000, this.#random)
    if (said.has('config')) return this.#renew(3003, soon, now)
    if (said.has('restart')) return this.#renew(3002, soon, now)
    if (!said.has('channels')) return []
    return this.#renew(3001, Math.max(0, this.#askedAt + ASK_AGAIN_MS - now), now)
  }

  /** Closes, and asks for a new configuration after a while. */
  #renew(code: number, waitMs: number, now: number): readonly PushAction[] {
    this.#prove()
    this.#openedAt = 0
    if (waitMs === 0) return [close(code), ...this.#ask(now)]
    return [close(code), ...this.#wait('ask', waitMs, now, ['push.renewing', { code }])]
  }

  /** The connection ended by itself, or never came to be. */
  #broken(code: number, now: number): readonly PushAction[] {
    if (this.#mode === 'open' && now - this.#openedAt >= PROVED_MS) this.#prove()
    this.#errors++
    if (this.#mode !== 'polling' && (code === 1006 || code === 1008)) this.#fallback.broke(now, this.#random)
    this.#openedAt = 0
    this.#pingedAt = undefined
    let waitMs = backoffMs(this.#errors, this.#random)
    const wrong = isWrongChannel(code)
    if (wrong) {
      this.#former = []
      waitMs = Math.max(waitMs, between(6000, 35_000, this.#random))
    } else if (code === 4029) waitMs = Math.max(waitMs, backoffMs(2, this.#random))
    const ask = wrong || this.#errors >= ASK_AFTER_ERRORS || this.#tokenIsOver(now)
    return this.#wait(ask ? 'ask' : 'connect', waitMs, now, ['push.broken', { code, errors: this.#errors }])
  }

  #tokenIsOver(now: number): boolean {
    const { jwt, expiresAt = Number.POSITIVE_INFINITY } = this.#config as PushConfig
    return jwt !== undefined && expiresAt <= now
  }

  #prove(): void {
    this.#errors = 0
    this.#former = []
    this.#fallback.proved()
  }

  #polled({ status, body, lastMessageId }: Polled, now: number): readonly PushAction[] {
    if (status !== 200 && status !== 304) {
      return this.#broken(status === 429 ? 4029 : (codeInText(body.toString()) ?? 1006), now)
    }
    // An answer without anything is none: a server that gives it at once would be asked all the time.
    if (status === 200 && body.length === 0) return this.#broken(1005, now)
    const connected = this.#openedAt === 0 ? [this.#connected('polling', now)] : []
    this.#errors = 0
    this.#former = []
    this.#heard(now)
    if (status === 304) this.#inbox.passed(lastMessageId ?? '')
    const read = this.#read(body, now)
    const next =
      this.#mode !== 'polling' ? [] : now >= this.#expiryAt ? this.#renew(3003, 0, now) : this.#connect(now)
    return [...connected, ...read, ...next]
  }

  #isUp(): boolean {
    return this.#mode === 'opening' || this.#mode === 'open' || this.#mode === 'polling'
  }

  #end(mode: 'held' | 'closed'): readonly PushAction[] {
    const actions = this.#isUp() ? [close(1000)] : []
    this.#mode = mode
    this.#turn++
    this.#openedAt = 0
    this.#pingedAt = undefined
    return actions
  }
}

function close(code: number): PushAction {
  return { do: 'close', code }
}

function send(text: string): PushAction {
  return { do: 'send', text }
}
