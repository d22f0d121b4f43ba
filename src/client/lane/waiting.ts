import type { Priority } from '../../model/call.ts'
import type { Credential } from '../../model/credential.ts'
import type { BridgeError } from '../../model/errors.ts'
import { isSoloMethod } from '../../model/methods.ts'
import { activePoint, type TracePoint } from '../../util/tracing.ts'
import { encodeQuery, holdsReference } from '../batch/encode.ts'
import { answerLost } from './failures.ts'
import type { CallSettled, Work } from './work.ts'

/** Work in the lane: what the planner must know of it, counted once when it arrives. */
export interface Waiting {
  readonly work: Work
  readonly source: string
  readonly priority: Priority
  readonly orderKey: string | undefined
  /** Groups requests that may share a batch: portal user and secret. */
  readonly credential: string
  readonly arrivedAt: number
  /** Not before this moment: a read that is being repeated. */
  readyAt: number
  /** Fails with `DEADLINE_EXCEEDED` when still unsent then; `Infinity` without a deadline. */
  readonly deadlineAt: number
  /** May not share a request: a solo method, text with references, parameters that a query cannot say, a halted group. */
  alone: boolean
  /** Its calls go one a request: the portal refused them together. */
  oneByOne: boolean
  /** Indexes into `work.calls` that still have no end. */
  pending: number[]
  /** Method of each call, lower-case. */
  readonly methods: readonly string[]
  /** Query text of each call; `undefined` where the call travels alone as JSON. */
  readonly queries: readonly (string | undefined)[]
  /** Bytes that the pending calls add to a batch, at most. */
  readonly bytes: number
  readonly attempts: number[]
  readonly settled: CallSettled[]
  /** By call: how its last try ended that may have run, when it waits to be tried again all the same. */
  readonly lost: (BridgeError | undefined)[]
  /** Where in a trace it came from. */
  readonly tracedAt: TracePoint | undefined
  readonly finish: () => void
}

/**
 * Weighs work once, as it arrives: what can be written as a query, what must travel alone. A group always travels
 * as a batch, so what a query cannot say in it is left out there (`planGroups` sends such calls apart).
 */
export function createWaiting(
  work: Work,
  credential: Credential,
  now: number,
  done: (settled: readonly CallSettled[]) => void,
): Waiting {
  const { calls, options } = work
  const group = calls.length > 1
  const queries = calls.map(({ method, params }) => {
    if (typeof params === 'string') return params
    return isSoloMethod(method) ? undefined : encodeQuery(params)
  })
  const settled: CallSettled[] = []
  const alone =
    work.isolated === true ||
    work.halt === true ||
    calls.some(({ api }) => api === 'v3') ||
    queries.some((query) => query === undefined) ||
    (!group && holdsReference(queries[0] as string))
  return {
    work,
    source: options?.source ?? 'caller',
    priority: options?.priority ?? 'normal',
    orderKey: options?.orderKey,
    credential: credential.key,
    arrivedAt: now,
    readyAt: now,
    deadlineAt: options?.deadlineMs === undefined ? Number.POSITIVE_INFINITY : now + options.deadlineMs,
    alone,
    oneByOne: false,
    pending: calls.map((_, index) => index),
    methods: calls.map(({ method }) => method.toLowerCase()),
    queries: group ? queries.map((query) => query ?? '') : queries,
    bytes: queries.reduce(
      (sum, query, i) => sum + (query?.length ?? 0) + (calls[i]?.method.length ?? 0) + 32,
      0,
    ),
    attempts: calls.map(() => 0),
    settled,
    lost: calls.map(({ inDoubt }) => (inDoubt === true ? answerLost() : undefined)),
    tracedAt: activePoint(),
    finish: () => done(settled),
  }
}

/**
 * A first-in-first-out queue of one source that gives up items from its middle without moving the others.
 */
export class SourceQueue {
  #items: (Waiting | undefined)[] = []
  #head = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  push(item: Waiting): void {
    // Never while items are being removed: those still to go are known by their index.
    if (this.#head > 256 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    this.#items.push(item)
    this.#size++
  }

  /** Puts an item back before all others. */
  unshift(item: Waiting): void {
    if (this.#head > 0) this.#items[--this.#head] = item
    else this.#items.unshift(item)
    this.#size++
  }

  /** Index of the first item at or behind `from`; -1 when there is none. Start with 0. */
  next(from: number): number {
    for (let i = Math.max(from, this.#head); i < this.#items.length; i++)
      if (this.#items[i] !== undefined) return i
    return -1
  }

  at(index: number): Waiting {
    return this.#items[index] as Waiting
  }

  remove(index: number): void {
    if (this.#items[index] === undefined) return
    this.#items[index] = undefined
    this.#size--
    while (this.#head < this.#items.length && this.#items[this.#head] === undefined) this.#head++
    if (this.#size === 0) {
      this.#items = []
      this.#head = 0
    }
  }

  removeItem(item: Waiting): boolean {
    const index = this.#items.indexOf(item, this.#head)
    if (index < 0) return false
    this.remove(index)
    return true
  }

  /** Items in order. Do not change the queue while walking it. */
  *[Symbol.iterator](): Generator<Waiting> {
    for (let i = this.next(0); i >= 0; i = this.next(i + 1)) yield this.at(i)
  }
}
