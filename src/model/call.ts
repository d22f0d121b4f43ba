import type { Credential } from './credential.ts'
import type { Json, JsonObject } from './json.ts'

/** `urgent` before `normal` before `bulk`; a call that has waited long moves up, so none starves. */
export type Priority = 'urgent' | 'normal' | 'bulk'

/** How a call travels; everything optional. */
export interface CallOptions {
  readonly priority?: Priority
  /** Calls with the same key run one after another in arrival order. */
  readonly orderKey?: string
  /** Who asks (queue, export, caller); sources of equal priority take turns. */
  readonly source?: string
  /** Milliseconds from now after which an unsent call fails with `DEADLINE_EXCEEDED`. */
  readonly deadlineMs?: number
  /** Another credential on the same portal than the client's own. */
  readonly credential?: Credential
  /**
   * Calls REST v3, each call in a request of its own. Methods that only v3 knows go there without a word.
   *
   * https://apidocs.bitrix24.com/api-reference/rest-v3.html
   */
  readonly api?: 'v3'
  /** For REST v3: by which the portal tells a repetition, 1 to 255 printable ASCII characters; random unless given. */
  readonly idempotencyKey?: string
  /** Ends the wait; a call that was already sent goes on at the portal. */
  readonly signal?: AbortSignal
}

/** `time` of an answer. Every field may be missing: on-premise portals and old captures leave some out. */
export interface AnswerTime {
  readonly start?: number
  readonly finish?: number
  readonly duration?: number
  readonly processing?: number
  readonly date_start?: string
  readonly date_finish?: string
  /** Seconds that this method has used in the last ten minutes under this credential. */
  readonly operating?: number
  /** Unix seconds at which the oldest minute leaves that sum. */
  readonly operating_reset_at?: number
}

/**
 * The portal's whole answer to one call, the same whether it travelled alone or inside a batch.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/general-principles.html
 */
export interface CallAnswer {
  /** HTTP status; for a call inside a batch the status that it would have had alone. */
  readonly status: number
  /** `{ result, total?, next?, time? }`, or `{ error, error_description }` when the portal refused it. */
  readonly body: JsonObject
  /** `time` of the whole request when the call travelled in a batch. */
  readonly requestTime?: JsonObject
  /** The body's JSON text as the portal wrote it, when the caller asked for it with `raw`. */
  readonly raw?: string
  /** Requests that carried this call and may have reached the portal; waits for limits do not count. */
  readonly attempts: number
}

/** One method with its parameters. Positional methods take an array. */
export interface Call {
  readonly method: string
  readonly params: JsonObject | readonly Json[]
}
