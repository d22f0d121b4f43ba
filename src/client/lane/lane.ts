import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Credential } from '../../model/credential.ts'
import { BridgeError, CommandError, TransportError } from '../../model/errors.ts'
import { type RequestLimit, STANDARD_LIMIT } from '../../model/limits.ts'
import type { HttpAnswer, Transport } from '../transport.ts'
import { announce } from './announce.ts'
import { type CoreOptions, LaneCore, type LaneStats } from './core.ts'
import { decodeRequest, type LaneRequest } from './exchange.ts'
import { deadlineExceeded } from './failures.ts'
import type { SharedCounter } from './places.ts'
import type { LaneSettings, Plan } from './plan.ts'
import { createPost } from './post.ts'
import type { Rest } from './rests.ts'
import type { Waiting } from './waiting.ts'
import { Withdrawals } from './withdrawals.ts'
import type { Caller, CallSettled, Work } from './work.ts'

/** What one request to the portal was, for metrics; holds no address and no parameters. */
export interface RequestReport {
  readonly calls: number
  readonly ms: number
  /** HTTP status, or 0 when there was no answer. */
  readonly status: number
  /** Code of the error that the request as a whole met. */
  readonly error?: string
}

export interface LaneOptions {
  readonly transport: Transport
  /** The credential of calls that bring none of their own; also tells where the portal is. */
  readonly credential: Credential
  /** `null` for a portal without a request limit; default 50/2. */
  readonly limit?: RequestLimit | null
  /** Requests that may be under way at once; default 10. */
  readonly maxInFlight?: number
  /** Milliseconds that calls gather while requests are under way, under a limit for each of them; default 20. */
  readonly lingerMs?: number
  /** Predicted seconds of one batch at most; default 20, because the portal cuts a request at 60 s. */
  readonly maxBatchSeconds?: number
  /** Bytes of one batch at most; default 1 MiB. */
  readonly maxBatchBytes?: number
  /** Seconds that one method may use in ten minutes; default 480, 0 turns our own watch off. */
  readonly operatingLimitSeconds?: number
  /** Milliseconds that calls wait for a portal that is down; default 5 minutes. */
  readonly portalWaitMs?: number
  /** Milliseconds that a write with a key rests after its answer was lost; default 75 s, past the portal's own cut. */
  readonly quietMs?: number
  /** Tries of a read whose answer was lost; default 3. */
  readonly maxAttempts?: number
  /** Milliseconds on a clock that never jumps; default `performance.now`. */
  readonly now?: () => number
  /** Level of the portal's request counter now, as an earlier process left it; default 0. */
  readonly initialLevel?: number
  /** Hears the level after each request is counted, so that it can be kept for the next process. */
  readonly onLevel?: (level: number) => void
  /** The portal's request counter, where other processes send requests too. */
  readonly shared?: SharedCounter
  /** Hears when the portal wants to be left alone, wholly or with one method, and when it answers again (`undefined`). */
  readonly onRest?: (rest: Rest | undefined) => void
  readonly onRequest?: (report: RequestReport) => void
  /** The portal has a new address; keep it. */
  readonly onRenamed?: (origin: string) => void
}

/** The one road to a portal: every call passes here. */
export interface Lane extends Caller {
  stats(): LaneStats
  /** What other processes were told of the portal's wishes: all that holds now. */
  learn(rests: readonly Rest[]): void
  /**
   * Stops: waiting work ends with `CLIENT_CLOSED` (it was not sent), requests under way are waited for, at most
   * `graceMs` (default 10 s). Twice is harmless.
   */
  close(graceMs?: number): Promise<void>
}

/** A running lane. It holds no timer and no socket while it has nothing to do. */
export function createLane(options: LaneOptions): Lane {
  return new RunningLane(options)
}

const CLOSED = (): CommandError =>
  new CommandError('CLIENT_CLOSED', 'The call was not made, because the client is being closed', {
    status: 503,
  })

class RunningLane implements Lane {
  readonly #options: LaneOptions
  readonly #core: LaneCore
  readonly #now: () => number
  readonly #post: (request: LaneRequest) => Promise<HttpAnswer>
  #pumping = false
  #timer: NodeJS.Timeout | undefined
  #sweeper: NodeJS.Timeout | undefined
  #closed = false
  readonly #limited: boolean
  readonly #underWay = new Set<Promise<void>>()
  readonly #withdrawals = new Withdrawals((item, signal) => this.#core.cancel(item, aborted(signal)))

  constructor(options: LaneOptions) {
    this.#options = options
    this.#post = createPost({
      transport: options.transport,
      origin: options.credential.origin,
      onRepeat: () => this.#core.countRequest(this.#now()),
      ...(options.onRenamed === undefined ? {} : { onRenamed: options.onRenamed }),
    })
    this.#now = options.now ?? (() => performance.now())
    const limit = options.limit === undefined ? STANDARD_LIMIT : options.limit
    this.#limited = limit !== null
    const settings: LaneSettings = {
      maxInFlight: options.maxInFlight ?? 10,
      lingerMs: options.lingerMs ?? 20,
      maxBatchSeconds: options.maxBatchSeconds ?? 20,
      maxBatchBytes: options.maxBatchBytes ?? 1024 * 1024,
      bulkReserve: limit === null ? 0 : Math.min(5, Math.floor(limit.capacity / 10)),
      agingMs: 10_000,
    }
    const core: CoreOptions = {
      limit,
      credential: options.credential,
      settings,
      operatingLimitSeconds: options.operatingLimitSeconds ?? 480,
      portalWaitMs: options.portalWaitMs ?? 300_000,
      quietMs: options.quietMs ?? 75_000,
      maxAttempts: options.maxAttempts ?? 3,
      initialLevel: options.initialLevel ?? 0,
      ...(options.shared === undefined
        ? {}
        : { spread: Math.random, onOverLimit: () => options.shared?.overflowed() }),
      ...(options.onRest === undefined ? {} : { onRest: options.onRest }),
      newPrefix: () => `k${randomBytes(6).toString('hex')}_`,
      now: this.#now(),
    }
    this.#core = new LaneCore(core)
  }

  submit(work: Work): Promise<readonly CallSettled[]> {
    if (work.calls.length === 0) return Promise.resolve([])
    if (this.#closed) return Promise.resolve(work.calls.map(() => ({ error: CLOSED() })))
    const signal = work.options?.signal
    return new Promise((resolve) => {
      if (signal?.aborted === true) {
        resolve(work.calls.map(() => ({ error: aborted(signal) })))
        return
      }
      let watched = false
      const item: Waiting = this.#core.add(work, this.#now(), (settled) => {
        if (watched) this.#withdrawals.remove(signal as AbortSignal, item)
        resolve(settled)
      })
      if (signal !== undefined && item.pending.length > 0) {
        watched = true
        this.#withdrawals.add(signal, item)
      }
      if (work.options?.deadlineMs !== undefined) this.#sweepSoon(Math.min(200, work.options.deadlineMs))
      else if (this.#core.trouble !== undefined) this.#sweepSoon(200)
      this.#pumpSoon()
    })
  }

  learn(rests: readonly Rest[]): void {
    this.#core.learn(rests, this.#now())
    this.#pumpSoon()
  }

  stats(): LaneStats {
    return this.#core.stats(this.#now())
  }

  async close(graceMs = 10_000): Promise<void> {
    this.#closed = true
    this.#core.cancelAll(CLOSED())
    if (this.#underWay.size > 0) {
      const stop = new AbortController()
      const grace = sleep(graceMs, undefined, { signal: stop.signal }).catch(() => undefined)
      await Promise.race([Promise.all(this.#underWay), grace])
      stop.abort()
    }
    this.#core.cancelAll(CLOSED())
    clearTimeout(this.#timer)
    clearTimeout(this.#sweeper)
  }

  /** Planning waits for the end of the tick, so that calls made together travel together. */
  #pumpSoon(): void {
    if (this.#pumping) return
    this.#pumping = true
    setImmediate(() => {
      this.#pumping = false
      this.#pump()
    })
  }

  #pump(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    // What a request under way gave back after the end will never be sent.
    if (this.#closed) {
      this.#core.cancelAll(CLOSED())
      return
    }
    for (;;) {
      const step: Plan = this.#core.plan(this.#now())
      if (step.kind === 'wait') {
        if (step.ms !== undefined) this.#timer = setTimeout(() => this.#pump(), Math.min(step.ms, 60_000))
        return
      }
      if (step.kind === 'ask') {
        this.#ask(step)
        return
      }
      const request = this.#core.take(step.picks, this.#now())
      if (this.#limited) this.#options.onLevel?.(this.stats().bucketLevel)
      const going = this.#run(request).finally(() => {
        this.#underWay.delete(going)
        this.#pumpSoon()
      })
      this.#underWay.add(going)
    }
  }

  #ask({ most, capacity }: Extract<Plan, { kind: 'ask' }>): void {
    this.#core.asked()
    const shared = this.#options.shared as SharedCounter
    void shared.take({ most, capacity }).then((taken) => {
      this.#core.placesTaken(taken, this.#now())
      this.#pump()
    })
  }

  async #run(planned: LaneRequest): Promise<void> {
    let request = planned
    let startedAt = this.#now()
    let status = 0
    let failure: BridgeError | undefined
    let decoded: ReturnType<typeof decodeRequest> | undefined
    try {
      const announced = this.#core.withdrawn(planned, await announce(planned))
      if (announced === undefined) return
      request = announced
      startedAt = this.#now()
      const answer = await this.#post(request)
      status = answer.status
      decoded = decodeRequest(request, answer)
      failure = decoded.outer
    } catch (error) {
      failure = error instanceof BridgeError ? error : unexpected(error)
    }
    const now = this.#now()
    if (decoded === undefined || failure !== undefined) {
      this.#core.failed(request, failure ?? unexpected(undefined), now - startedAt, now)
    } else {
      this.#core.answered(request, decoded.verdicts, now - startedAt, now)
      if (!request.batch) failure = decoded.verdicts[0]?.error
    }
    if (failure instanceof TransportError || this.#core.trouble !== undefined) this.#sweepSoon(0)
    this.#options.onRequest?.({
      calls: request.calls.length,
      ms: this.#now() - startedAt,
      status,
      ...(failure === undefined ? {} : { error: failure.code }),
    })
  }

  /** Looks for passed deadlines; one look is planned at a time. */
  #sweepSoon(ms: number): void {
    if (this.#sweeper !== undefined) return
    this.#sweeper = setTimeout(() => {
      this.#sweeper = undefined
      const next = this.#core.sweep(this.#now())
      if (next !== undefined && !this.#closed) this.#sweepSoon(next)
    }, ms)
  }
}

/** The reason of `AbortSignal.timeout` is a passed deadline, any other the caller's own will. */
function aborted(signal: AbortSignal): CommandError {
  if (signal.reason instanceof Error && signal.reason.name === 'TimeoutError') return deadlineExceeded()
  return new CommandError('ABORTED', 'The caller gave up before the call was sent', {
    status: 499,
    cause: signal.reason,
  })
}

function unexpected(error: unknown): TransportError {
  return new TransportError('UNEXPECTED_ANSWER', 'The answer could not be read', {
    sent: 'maybe',
    cause: error,
  })
}
