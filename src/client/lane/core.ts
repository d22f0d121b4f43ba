import type { Credential } from '../../model/credential.ts'
import { AuthError, type BridgeError, RestError, TransportError } from '../../model/errors.ts'
import type { RequestLimit } from '../../model/limits.ts'
import { isMethodName, isReadMethod } from '../../model/methods.ts'
import { answerTime, isSuspension } from '../decode.ts'
import { createBreaker } from './breaker.ts'
import { type Decision, decide } from './decide.ts'
import { buildRequest, type LaneRequest, type RequestCall, type Verdict } from './exchange.ts'
import { badMethod, deadlineExceeded, statusOf, suspendedElsewhere, unreachable } from './failures.ts'
import { createOperatingBudget } from './operating-budget.ts'
import { Places, type TakenPlaces } from './places.ts'
import { type LaneSettings, type LaneState, type Plan, plan } from './plan.ts'
import { createPrediction } from './prediction.ts'
import { type BucketState, bucketLevel, bucketOverflowed, emptyBucket, takePlace } from './request-bucket.ts'
import { LearnedRests, type Rest } from './rests.ts'
import { createWaiting, type Waiting } from './waiting.ts'
import { WaitingRoom } from './waiting-room.ts'
import type { CallSettled, LaneCall, Work } from './work.ts'

/** What a lane core is made with; every time is in milliseconds on one monotonic clock. */
export interface CoreOptions {
  readonly limit: RequestLimit | null
  readonly credential: Credential
  readonly settings: LaneSettings
  readonly operatingLimitSeconds: number
  /** How long work waits for a portal that is down or suspended before it fails. */
  readonly portalWaitMs: number
  /**
   * How long a write with a key is left alone after its answer was lost: the portal may still be at it, and two at the
   * same moment may both run.
   */
  readonly quietMs: number
  /** Tries of a read that may have reached the portal. */
  readonly maxAttempts: number
  /** A fresh random word that begins with a letter, for the keys of one batch. */
  readonly newPrefix: () => string
  /** The portal's counter as an earlier process left it; 0 unless known. */
  readonly initialLevel: number
  /** Set where several processes share the counter; gives 0 to 1. */
  readonly spread?: () => number
  /** The portal told us to stay away, wholly or with one method: others may want to know. `undefined`: it answers again. */
  readonly onRest?: (rest: Rest | undefined) => void
  /** The portal refused a request because its counter is full. */
  readonly onOverLimit?: () => void
  readonly now: number
}

/** Numbers for metrics and progress. */
export interface LaneStats {
  readonly waiting: number
  readonly inFlight: number
  readonly requests: number
  /** Level of the request bucket as we count it; 0 without a limit. */
  readonly bucketLevel: number
  /** Requests that the portal refused with `QUERY_LIMIT_EXCEEDED`. */
  readonly overLimit: number
  /** Highest share of the operating limit that a method has used lately. */
  readonly operatingShare: number
  /** Why the lane stands still, or `undefined`. */
  readonly trouble: string | undefined
  /** Milliseconds for which nothing is sent because of that; with 0 left the next call is the one that tries. */
  readonly restMs: number
}

/** A request that ends without an answer after this long was too much work, not bad luck. */
const CUT_MS = 20_000

/**
 * The lane without sockets and timers: queues, limits, and what each answer changes. Time is passed in, so that it
 * can be driven by a virtual clock.
 */
export class LaneCore {
  readonly #options: CoreOptions
  readonly #room = new WaitingRoom()
  readonly #operating
  readonly #breaker = createBreaker()
  readonly #prediction = createPrediction()
  readonly #places: Places | undefined
  readonly #learned = new LearnedRests()
  /** Others were told that the portal rests. */
  #told = false
  #bucket: BucketState
  #inFlight = 0
  #requests = 0
  #overLimit = 0
  #waiting = 0
  #deadlines = 0

  constructor(options: CoreOptions) {
    this.#options = options
    this.#operating = createOperatingBudget(options.operatingLimitSeconds)
    this.#bucket = { ...emptyBucket(options.now), level: options.initialLevel }
    if (options.spread !== undefined && options.limit !== null) this.#places = new Places(options.spread)
  }

  /** Takes work in; `done` is called once, when all its calls have ended. */
  add(work: Work, now: number, done: (settled: readonly CallSettled[]) => void): Waiting {
    const item = createWaiting(work, work.options?.credential ?? this.#options.credential, now, done)
    this.#waiting++
    if (item.deadlineAt !== Number.POSITIVE_INFINITY) this.#deadlines++
    for (const index of [...item.pending]) {
      const { method } = work.calls[index] as LaneCall
      if (isMethodName(method)) continue
      item.settled[index] = { error: badMethod(method) }
      item.pending = item.pending.filter((other) => other !== index)
    }
    if (item.pending.length === 0) this.#finish(item)
    else this.#room.add(item)
    return item
  }

  plan(now: number): Plan {
    return plan(this.#state(now), now)
  }

  /** Takes the picked items out of the queues and a place in the bucket. */
  take(picks: Extract<Plan, { kind: 'send' }>['picks'], now: number): LaneRequest {
    for (const { queue, index } of picks) queue.remove(index)
    this.#room.tidy()
    const items = picks.map(({ item }) => item)
    const credential = items[0]?.work.options?.credential ?? this.#options.credential
    this.#inFlight++
    if (this.#places === undefined) this.countRequest(now)
    else {
      this.#requests++
      this.#places.use()
    }
    return buildRequest(items, credential, this.#options.newPrefix())
  }

  /** One more request goes to the portal (a repeated POST after a rename counts too). */
  countRequest(now: number): void {
    this.#requests++
    if (this.#options.limit !== null) this.#bucket = takePlace(this.#bucket, this.#options.limit, now)
  }

  /** The shared counter is being asked, as the plan wants. */
  asked(): void {
    this.#places?.asked()
  }

  /** The shared counter has answered. What it granted counts as used. */
  placesTaken({ granted, level }: TakenPlaces, now: number): void {
    const { limit } = this.#options
    this.#places?.answered(granted, now)
    if (limit === null) return
    if (level !== undefined) this.#bucket = { ...this.#bucket, level, at: now }
    for (let place = 0; place < granted; place++) this.#bucket = takePlace(this.#bucket, limit, now)
  }

  /** The portal answered; `verdicts` in the order of `request.calls`. `wallMs` is how long the request took. */
  answered(request: LaneRequest, verdicts: readonly Verdict[], wallMs: number, now: number): void {
    this.#inFlight--
    const again = new Map<Waiting, Decision>()
    this.#prediction.observe(
      request.calls.map(({ item, index }, i) => ({
        method: item.methods[index] as string,
        time: answerTime(verdicts[i]?.body?.time),
      })),
      wallMs,
    )
    let trouble = false
    for (let i = 0; i < request.calls.length; i++) {
      const { item, index } = request.calls[i] as RequestCall
      const verdict = verdicts[i] as Verdict
      const method = item.methods[index] as string
      if (verdict.error === undefined) {
        this.#operating.observe(item.credential, method, answerTime(verdict.body?.time), now)
        this.#settleVerdict(item, index, verdict, 1)
        continue
      }
      const decision = this.#decide(verdict.error, item, index, request, false)
      if (!request.batch && verdict.error instanceof TransportError && verdict.body === undefined) {
        trouble = true
        this.#breaker.failed(verdict.error, verdict.error.sent === false, now)
      }
      this.#apply(decision, verdict, item, index, again, now)
    }
    if (!trouble && !this.#suspendedBy(again)) this.#portalAnswered()
    this.#putBack(request, again)
  }

  /** The request as a whole failed: no usable answer, or the portal refused it. */
  failed(request: LaneRequest, error: BridgeError, wallMs: number, now: number): void {
    this.#inFlight--
    const again = new Map<Waiting, Decision>()
    if (error instanceof TransportError) {
      this.#breaker.failed(error, error.sent === false, now)
      if (error.sent !== false && wallMs > CUT_MS) {
        this.#prediction.cut(
          request.calls.map(({ item, index }) => item.methods[index] as string),
          wallMs,
        )
      }
    }
    for (const { item, index } of request.calls) {
      const decision = this.#decide(error, item, index, request, true)
      this.#apply(decision, { error, status: statusOf(error) }, item, index, again, now)
    }
    if (!(error instanceof TransportError) && !this.#suspendedBy(again)) this.#portalAnswered()
    this.#putBack(request, again)
  }

  /**
   * Work that was picked but must not be sent after all (its sender could not write its ledger, or another process has
   * begun it): it ends with its error. Gives what is left of the request, or `undefined` when nothing is.
   */
  withdrawn(request: LaneRequest, refused: ReadonlyMap<Waiting, BridgeError>): LaneRequest | undefined {
    if (refused.size === 0) return request
    for (const [item, error] of refused) {
      this.#end(item, error)
      this.#room.ended(item)
    }
    const items = request.items.filter((item) => !refused.has(item))
    if (items.length > 0)
      return { ...request, items, calls: request.calls.filter(({ item }) => !refused.has(item)) }
    this.#inFlight--
    return undefined
  }

  /** Ends waiting work whose time is over. Gives milliseconds until the next look is due, or `undefined`. */
  sweep(now: number): number | undefined {
    const { reason, since } = this.#breaker
    if (this.#deadlines === 0 && reason === undefined) return undefined
    for (const item of this.#room.all()) {
      if (item.deadlineAt <= now) this.cancel(item, deadlineExceeded())
      else if (reason !== undefined && now - Math.max(since, item.arrivedAt) >= this.#options.portalWaitMs) {
        this.cancel(item, unreachable(reason))
      }
    }
    return this.#waiting === 0 ? undefined : 200
  }

  /** Ends waiting work with an error; does nothing when it is under way or has ended. */
  cancel(item: Waiting, error: BridgeError): void {
    if (item.pending.length > 0 && this.#room.remove(item)) this.#end(item, error)
  }

  /** Ends everything that waits. */
  cancelAll(error: BridgeError): void {
    for (const item of this.#room.all()) this.cancel(item, error)
  }

  /** Why the lane stands still, or `undefined`; cheaper than all of `stats`. */
  get trouble(): string | undefined {
    return this.#breaker.reason?.code
  }

  stats(now: number): LaneStats {
    return {
      waiting: this.#waiting,
      inFlight: this.#inFlight,
      requests: this.#requests,
      bucketLevel: this.#options.limit === null ? 0 : bucketLevel(this.#bucket, this.#options.limit, now),
      overLimit: this.#overLimit,
      operatingShare: this.#operating.highestShare(now),
      trouble: this.trouble,
      restMs: Math.max(0, this.#breaker.openUntil - now),
    }
  }

  #state(now: number): LaneState {
    return {
      queues: this.#room.queues,
      bucket: this.#bucket,
      limit: this.#options.limit,
      ...(this.#places === undefined ? {} : { held: this.#places.at(now) }),
      inFlight: this.#inFlight,
      turn: this.#requests,
      openUntil: this.#breaker.openUntil,
      probing: this.#breaker.probing,
      restUntil: this.#restUntil,
      predictSeconds: this.#prediction.seconds,
      settings: this.#options.settings,
    }
  }

  #decide(error: BridgeError, item: Waiting, index: number, request: LaneRequest, outer: boolean): Decision {
    const throttled = error.retryable && !(error instanceof TransportError)
    if (!throttled && !(error instanceof TransportError && error.sent === false)) {
      item.attempts[index] = (item.attempts[index] as number) + 1
    }
    // A group with references is repeated as a whole or not at all, so it counts as a read only if all of it is.
    const read =
      item.work.isolated === true
        ? item.methods.every(isReadMethod)
        : isReadMethod(item.methods[index] as string)
    const decision = decide(error, {
      read,
      keyed: isKeyed(item.work.calls[index] as LaneCall),
      attempts: item.attempts[index] as number,
      maxAttempts: this.#options.maxAttempts,
      portalDown: this.#breaker.probing,
      batched: request.batch && request.calls.length > 1,
      outer,
    })
    if (item.work.isolated === true && item.work.calls.length > 1 && (!outer || decision === 'retry-alone'))
      return 'settle'
    return decision
  }

  #apply(
    decision: Decision,
    verdict: Verdict,
    item: Waiting,
    index: number,
    again: Map<Waiting, Decision>,
    now: number,
  ): void {
    const error = verdict.error as BridgeError
    switch (decision) {
      case 'settle':
        this.#settleVerdict(item, index, verdict, 0)
        return
      case 'wait-for-bucket':
        if (this.#options.limit !== null)
          this.#bucket = bucketOverflowed(this.#bucket, this.#options.limit, now)
        else item.readyAt = now + 1000
        if (![...again.values()].includes('wait-for-bucket')) {
          this.#overLimit++
          this.#options.onOverLimit?.()
        }
        break
      case 'rest-method':
        this.#restMethod(error, item.credential, item.methods[index] as string, now)
        break
      case 'suspend':
        this.#told = true
        this.#rest(error.code, this.#breaker.suspended(error, now))
        break
      case 'retry-read':
        item.readyAt = now + Math.min(30_000, 500 * 2 ** (item.attempts[index] as number))
        break
      case 'retry-keyed':
        item.lost[index] = error
        item.readyAt = now + this.#options.quietMs
        break
      case 'retry-alone':
        item.alone = true
        item.oneByOne = true
        break
      case 'retry-unsent':
        break
    }
    again.set(item, decision)
  }

  /** The arguments of an optional call are not even looked at where nobody listens. */
  #rest(code: string, ms: number): void {
    this.#options.onRest?.({ code, ms })
  }

  #restMethod(error: BridgeError, credential: string, method: string, now: number): void {
    const ms = Math.max(0, this.#operating.refused(credential, method, now) - now)
    const { code } = error
    this.#options.onRest?.({ method, credential: this.#learned.fingerprint(credential), code, ms })
  }

  readonly #restUntil = (credential: string, method: string): number =>
    Math.max(this.#operating.restUntil(credential, method), this.#learned.until(credential, method))

  /** The portal has answered: nothing of it rests as a whole. */
  #portalAnswered(): void {
    this.#breaker.answered()
    if (!this.#told) return
    this.#told = false
    this.#options.onRest?.(undefined)
  }

  /** What other processes were told; all of it, each time. */
  learn(rests: readonly Rest[], now: number): void {
    this.#learned.replace(rests, now)
    const whole = rests.find(({ method }) => method === undefined)
    this.#breaker.learned(whole && suspendedElsewhere(whole.code), whole?.ms ?? 0, now)
    // Whoever gets an answer first tells the others.
    if (whole !== undefined) this.#told = true
  }

  #suspendedBy(again: ReadonlyMap<Waiting, Decision>): boolean {
    for (const decision of again.values()) if (decision === 'suspend') return true
    return false
  }

  /** What is to go again, and the calls of a group that goes one by one and has not come to its end. */
  #putBack(request: LaneRequest, again: ReadonlyMap<Waiting, Decision>): void {
    const unfinished = ({ pending }: Waiting): boolean => pending.length > 0
    this.#room.putBack(request.items.filter((item) => unfinished(item) && (again.has(item) || item.oneByOne)))
  }

  #settleVerdict(item: Waiting, index: number, verdict: Verdict, attempt: number): void {
    const attempts = (item.attempts[index] as number) + attempt
    item.attempts[index] = attempts
    const { body, raw, requestTime, status, error } = verdict
    if (error !== undefined && endOf(item, index, error) !== error) {
      this.#settleCall(item, index, { error: endOf(item, index, error) })
      return
    }
    const answer =
      body === undefined
        ? undefined
        : {
            status,
            body,
            attempts,
            ...(raw === undefined ? {} : { raw }),
            ...(requestTime === undefined ? {} : { requestTime }),
          }
    this.#settleCall(item, index, {
      ...(answer === undefined ? {} : { answer }),
      ...(error === undefined ? {} : { error }),
    })
  }

  #settleCall(item: Waiting, index: number, settled: CallSettled): void {
    item.settled[index] = settled
    item.pending = item.pending.filter((other) => other !== index)
    if (item.pending.length > 0) return
    this.#finish(item)
    this.#room.ended(item)
  }

  #end(item: Waiting, error: BridgeError): void {
    for (const index of item.pending) item.settled[index] = { error: endOf(item, index, error) }
    item.pending = []
    this.#finish(item)
  }

  #finish(item: Waiting): void {
    this.#waiting--
    if (item.deadlineAt !== Number.POSITIVE_INFINITY) this.#deadlines--
    item.finish()
  }
}

/** An end that tells nothing of an earlier try, which may have run, leaves that open. */
function endOf({ lost }: Waiting, index: number, error: BridgeError): BridgeError {
  const isAnswer = error instanceof RestError && !(error instanceof AuthError) && !isSuspension(error)
  return isAnswer ? error : (lost[index] ?? error)
}

function isKeyed({ api, idempotencyKey }: LaneCall): boolean {
  return api === 'v3' && idempotencyKey !== undefined
}
