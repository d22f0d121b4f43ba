import type { CallAnswer, CallOptions } from '../../model/call.ts'
import { BridgeError } from '../../model/errors.ts'
import type { JsonObject } from '../../model/json.ts'
import type { ListGap } from '../../model/outcome.ts'
import type { Caller, CallSettled, LaneCall } from '../lane/work.ts'

/** One page of a list, in the order of the list. */
export interface ListPage {
  readonly rows: readonly JsonObject[]
  /** What the page began at: `start=150`, or `>ID 4711`. */
  readonly from: string
  /** The highest id up to which every row has been given; `null` in a walk by offset. */
  readonly lastId: string | null
  /** What the portal counted on the first page, when it counted. */
  readonly total: number | null
  /** HTTP status of the page. */
  readonly status: number
  /** Requests used so far, this page's own included. */
  readonly requests: number
}

/** What a walk gives: a page, or the news that a page could not be read even alone. */
export type ListStep =
  | { readonly kind: 'page'; readonly page: ListPage }
  | {
      readonly kind: 'gap'
      readonly gap: ListGap
      readonly error: BridgeError
      readonly answer: CallAnswer | undefined
      /** It was the first page: nothing is known about the list. */
      readonly first: boolean
    }

/**
 * The way of one walk to the portal: counts requests and rows, carries the call options, and withdraws what is
 * unsent when the walk ends early.
 */
export class Road {
  requests = 0
  /** Rows that were read; those of a page that is asked for ahead come in when its answer is read. */
  received = 0
  /** `total` of the first page. */
  total: number | null = null
  readonly limit: number
  readonly maxSeconds: number
  readonly #caller: Caller
  readonly #options: CallOptions
  #given = 0
  readonly #stop = new AbortController()

  constructor(
    caller: Caller,
    options: CallOptions & { readonly limit?: number; readonly maxSeconds?: number },
  ) {
    const { limit, maxSeconds, signal, ...rest } = options
    this.#caller = caller
    this.limit = limit ?? Number.POSITIVE_INFINITY
    this.maxSeconds = maxSeconds ?? 20
    const signals = signal === undefined ? [this.#stop.signal] : [this.#stop.signal, signal]
    this.#options = { priority: 'bulk', source: 'list', ...rest, signal: AbortSignal.any(signals) }
  }

  /** Sends calls as one group; `chained` ones hold references and stop at their first error. Never rejects. */
  async ask(calls: readonly LaneCall[], chained = false): Promise<readonly CallSettled[]> {
    const settled = await this.#caller.submit({
      calls,
      options: this.#options,
      ...(chained ? { isolated: true, halt: true } : {}),
    })
    this.requests += Math.max(1, ...settled.map(({ answer }) => answer?.attempts ?? 0))
    return settled
  }

  /** The rows that may still be given out under the limit; counts them. */
  give(rows: readonly JsonObject[]): readonly JsonObject[] {
    const room = this.limit - this.#given
    const given = rows.length <= room ? rows : rows.slice(0, room)
    this.#given += given.length
    return given
  }

  /** Throws the reason of an abort by the caller. */
  check(): void {
    this.#options.signal?.throwIfAborted()
  }

  /** Rows that may still be given. */
  get wanted(): number {
    return this.limit - this.received
  }

  /** Ends the wait for everything that is still asked for. */
  close(): void {
    this.#stop.abort(new BridgeError('LIST_CLOSED', 'Nobody reads this list any more.'))
  }
}

/** The step that reports a page which could not be read. */
export function gapStep(
  page: string,
  settled: CallSettled | undefined,
  first: boolean,
): ListStep & { kind: 'gap' } {
  const error =
    settled?.error ?? new BridgeError('NO_ANSWER', 'The page was asked for and nothing came back.')
  return {
    kind: 'gap',
    gap: { page, code: error.code, description: error.message },
    error,
    answer: settled?.answer,
    first,
  }
}
