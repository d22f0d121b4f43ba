import { BridgeError, BrokerError } from '../../model/errors.ts'
import type { Outcome } from '../../model/outcome.ts'

/** What becomes of a delivery. */
export type Settlement =
  /** Publish the reply, wait for its confirmation, then acknowledge. */
  | 'reply'
  /** As `reply`, and keep a copy of the message among the dead letters for people to look at. */
  | 'reply-and-keep'
  /** Hand it back to the broker: it was not sent and will be, by us or by another instance. */
  | 'requeue'

/**
 * The one table of settlements.
 *
 * | how the command ended | settlement |
 * | --- | --- |
 * | done | reply |
 * | failed | reply; with `keepFailed` reply-and-keep |
 * | unknown | reply; with `keepUnknown` reply-and-keep |
 * | could not be parsed | reply-and-keep |
 * | withdrawn unsent: we shut down | requeue |
 * | withdrawn unsent: the store is away, or another process has begun it | held, and tried again after a pause |
 * | the program itself failed on it, unsent | kept among the dead letters with the stack in the log, no reply |
 */
export function settlement(
  outcome: Outcome,
  parsed: boolean,
  keep: { readonly keepUnknown?: boolean; readonly keepFailed?: boolean } = {},
): Settlement {
  if (!parsed) return 'reply-and-keep'
  const code = outcome.failure?.code
  if (outcome.attempts === 0 && code !== undefined && (WITHDRAWN.has(code) || isOurTrouble(outcome)))
    return 'requeue'
  const kept = { done: false, failed: keep.keepFailed, unknown: keep.keepUnknown }[outcome.kind]
  return kept === true ? 'reply-and-keep' : 'reply'
}

/** True when the portal has carried it out, wholly or in part, or may have: it must not run again under the same id. */
export function mayHaveRun({ kind, inPart }: Outcome): boolean {
  return kind !== 'failed' || inPart === true
}

const WITHDRAWN = new Set(['ABORTED', 'CLIENT_CLOSED', 'BROKER_CLOSED'])

/** What becomes of a reply that the broker did not take. */
export type ReplyTrouble =
  /** Try again after a pause: nobody knows whether it was stored, or the queue is full. */
  | 'again'
  /** No queue is there for it: keep it among the dead letters. */
  | 'keep'
  /** No broker takes a message of that size: say so in a small one. */
  | 'shrink'
  /** We are closing: the command comes again, and the ledger answers it. */
  | 'give-back'

/** Decides by the code of the error that `Broker.publish` rejected with. */
export function replyTrouble(error: unknown): ReplyTrouble {
  if (error instanceof BrokerError) {
    if (error.code === 'UNROUTABLE' || error.code === 'EXCHANGE_MISSING') return 'keep'
    if (error.code === 'MESSAGE_TOO_LARGE') return 'shrink'
    return error.code === 'BROKER_CLOSED' ? 'give-back' : 'again'
  }
  return 'again'
}

/** True when it was withdrawn for something of ours that takes a while: it is tried again after a pause. */
export function isOurTrouble({ failure }: Outcome): boolean {
  return failure !== undefined && isPassingCode(failure.code)
}

/** True for an error that the same command would not meet later: the store is away, another process is at it. */
export function isPassing(error: unknown): boolean {
  return error instanceof BridgeError && isPassingCode(error.code)
}

function isPassingCode(code: string): boolean {
  return code === 'BEGUN_ELSEWHERE' || code === 'NOT_MOVED' || code.startsWith('STORE_')
}

/** True for an error that is not one of ours: a fault in the program, which the same message would meet again. */
export function isForeign(error: unknown): boolean {
  return !(error instanceof BridgeError)
}
