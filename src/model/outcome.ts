import type { CallAnswer } from './call.ts'
import type { JsonObject } from './json.ts'

/**
 * How a command ended. `done`: the portal carried it out; `failed`: it surely did not (of a batch with `inPart`: not all
 * of it); `unknown`: nobody can tell, so nobody may repeat it blindly.
 */
export type OutcomeKind = 'done' | 'failed' | 'unknown'

/** Why a command did not end well, safe to show to the sender. */
export interface Failure {
  readonly code: string
  readonly description: string
  /** The same command may succeed later unchanged. */
  readonly retryable: boolean
  /** What to do, in one sentence. */
  readonly hint?: string
}

/** The answer to one `call`. */
export interface CallResult {
  readonly action: 'call'
  readonly answer: CallAnswer
}

/** A page of a list that could not be read even alone: the rows it would have held are missing from the result. */
export interface ListGap {
  /** What the page was to begin at: `start=150`, or `>ID 4711`. */
  readonly page: string
  readonly code: string
  readonly description: string
}

/** All rows of a `list`, in page order. `missing` is empty when nothing is missing. */
export interface ListResult {
  readonly action: 'list'
  readonly rows: readonly JsonObject[]
  /** `total` of the first page, when the portal counted. */
  readonly total: number | null
  /** HTTP status of the first page, or of the failure. */
  readonly status: number
  readonly missing: readonly ListGap[]
}

/**
 * One request of an explicit `batch`: the five maps of the portal with the sender's names, always objects.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export interface BatchChunk {
  readonly status: number
  /** Names of this chunk in order of execution. */
  readonly names: readonly string[]
  readonly body: {
    readonly result: {
      readonly result: JsonObject
      readonly result_error: JsonObject
      readonly result_total: JsonObject
      readonly result_next: JsonObject
      readonly result_time: JsonObject
    }
    readonly time?: JsonObject
  }
}

/** An explicit `batch`, one chunk a request. */
export interface BatchResult {
  readonly action: 'batch'
  readonly chunks: readonly BatchChunk[]
}

/** What the calls of a command gave. */
export type CommandResult = CallResult | ListResult | BatchResult

/**
 * The end of a command, from which every contract makes its reply. `result` is absent when nothing was called;
 * `failure` is absent when `kind` is `done`. A refusal by the portal has both: the answer and the reason.
 */
export interface Outcome {
  readonly kind: OutcomeKind
  /** HTTP status of the portal, or ours: 400 bad command, 404 unknown portal, 503 limits, 504 time-out. */
  readonly status: number
  readonly result?: CommandResult
  readonly failure?: Failure
  readonly attempts: number
  /** It `failed` although a part of it was carried out: a batch whose rest was not sent. It must not run again as it is. */
  readonly inPart?: true
  /** The answer was lost, and the object was found by looking it up. */
  readonly verified?: true
}
