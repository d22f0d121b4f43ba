import { AuthError, type BridgeError, RestError, ThrottledError, TransportError } from '../../model/errors.ts'
import { isSuspension } from '../decode.ts'

/** What becomes of a call that got no good answer. */
export type Decision =
  /** It ends with this error. */
  | 'settle'
  /** It goes back to the front of its queue; the request bucket is full. Not an attempt. */
  | 'wait-for-bucket'
  /** It goes back; its method rests. Not an attempt. */
  | 'rest-method'
  /** It goes back; the whole portal rests for long. Not an attempt. */
  | 'suspend'
  /** It surely did not run: goes back, and the breaker counts a failure. Not an attempt. */
  | 'retry-unsent'
  /** It may have run, but repeating it does no harm. */
  | 'retry-read'
  /** It may have run, and has a key by which the portal tells a repetition. */
  | 'retry-keyed'
  /** It goes back to travel without company. Not an attempt. */
  | 'retry-alone'

/** What the decision depends on besides the error. */
export interface Circumstances {
  /** Repeating the call can do no harm. */
  readonly read: boolean
  /** The portal tells a repetition by the call's key. */
  readonly keyed: boolean
  /** Tries so far that may have reached the portal, this one included. */
  readonly attempts: number
  readonly maxAttempts: number
  /** The portal has not answered anything lately: tries do not tell anything about this call. */
  readonly portalDown: boolean
  /** The call shared its request with others. */
  readonly batched: boolean
  /** The error answers the whole request, not this call alone. */
  readonly outer: boolean
}

/**
 * The one table of what to do after an error. "Rejected before it ran" may be repeated for any method; "may have
 * run" only for reads, and for writes by whose key the portal tells a repetition; another write in doubt ends as an
 * error with `mayHaveRun`, because repeating it might double it.
 */
export function decide(error: BridgeError, circumstances: Circumstances): Decision {
  const { read, keyed, attempts, maxAttempts, portalDown, batched, outer } = circumstances
  if (error instanceof ThrottledError) {
    return METHOD_RESTS.test(error.code) ? 'rest-method' : 'wait-for-bucket'
  }
  if (error instanceof TransportError) {
    if (error.sent === false) return 'retry-unsent'
    // The same answer would be too large again; of a batch only its parts may fit.
    if (error.code === 'ANSWER_TOO_LARGE') return read && batched ? 'retry-alone' : 'settle'
    const again = portalDown || attempts < maxAttempts
    if (read && again) return 'retry-read'
    return keyed && attempts < maxAttempts ? 'retry-keyed' : 'settle'
  }
  if (isSuspension(error)) return 'suspend'
  if (error instanceof AuthError) return 'settle'
  if (error instanceof RestError && batched) {
    if (error.code === 'ERROR_BATCH_METHOD_NOT_ALLOWED') return 'retry-alone'
    // The batch as a whole was refused, so nothing of it ran: find out who is to blame by sending each alone.
    if (outer && BLAMES_CONTENT.has(error.status)) return 'retry-alone'
  }
  return 'settle'
}

/** The method has used up its operating time, as REST v2 and v3 say it. */
const METHOD_RESTS = /^(?:OPERATION_TIME_LIMIT|BITRIX_REST_V3_EXCEPTION_RATELIMITEXCEPTION)$/i

/** Statuses that say that something in the request is wrong, not that we are unwelcome. */
const BLAMES_CONTENT = new Set([400, 413, 414, 422])
