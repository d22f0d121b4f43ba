import type { Call, CallAnswer, CallOptions } from '../../model/call.ts'
import type { BridgeError } from '../../model/errors.ts'

/** One call on its way through the lane. */
export interface LaneCall extends Omit<Call, 'params'> {
  /** Parameters, or the query text as it shall stand behind the method inside a batch. */
  readonly params: Call['params'] | string
  /** JSON text to send instead of `params` when the call travels alone. */
  readonly rawParams?: string
  /** Goes to REST v3, alone: https://apidocs.bitrix24.com/api-reference/rest-v3.html */
  readonly api?: 'v3'
  /**
   * By which REST v3 tells a repetition, so that a write whose answer was lost may be sent once more. 1 to 255 printable
   * ASCII characters; other versions take no notice of it.
   */
  readonly idempotencyKey?: string
  /** An earlier try, of somebody else, may have run: unless the portal says how it ended, this call ends as if it had. */
  readonly inDoubt?: boolean
  /** Keep the portal's JSON text in `answer.raw`. */
  readonly raw?: boolean
  /**
   * Its key inside the batch, for `$result[name]` references of later calls of the same isolated group. Letters,
   * digits and underscores, not beginning with a digit. Calls without a name get a random key.
   */
  readonly name?: string
}

/**
 * What is handed to the lane: one call, or a group of 2 to 50 that stays together in one batch, in order.
 */
export interface Work {
  readonly calls: readonly LaneCall[]
  /** The group shares its request with nobody: it holds references, or stops at its first error. */
  readonly isolated?: boolean
  /** Stop the group after its first failed call (isolated groups only). */
  readonly halt?: boolean
  readonly options?: CallOptions
  /**
   * Runs before each request with this work leaves, the repeated ones too: until it gives `undefined`, which says that
   * nothing is left to be done now. The request waits for a promise, and the rest of it then too, so it is asked once more
   * after that. When it rejects, every call of this work that has no end yet ends with that error, unsent; the rest of the
   * request goes on.
   */
  readonly beforeSend?: () => Promise<void> | undefined
}

/**
 * How one call ended. Success: `answer` alone. A refusal by the portal: `answer` (with `error` in its body) and
 * `error`. No usable answer: `error` alone. Behind a failed call of a halted group: `error` `BATCH_HALTED`, not run.
 */
export interface CallSettled {
  readonly answer?: CallAnswer
  readonly error?: BridgeError
}

/** The one road to a portal. */
export interface Caller {
  /**
   * Queues the work and resolves when each of its calls has ended, in the order of `calls`. Never rejects: every
   * failure is in the list. Empty work resolves to an empty list.
   */
  submit(work: Work): Promise<readonly CallSettled[]>
}
