import type { BridgeError } from '../../model/errors.ts'
import type { Failure } from '../../model/outcome.ts'

/** The HTTP status that an error carries, where it is one of an error. */
export function statusOf(error: BridgeError, fallback: number): number {
  const status = (error as { status?: unknown }).status
  return typeof status === 'number' && status >= 400 ? status : fallback
}

/**
 * An error as a reply tells it. `harmless`: repeating the command changes nothing, so even an answer that got lost is no
 * reason not to.
 */
export function failureOf(error: BridgeError, harmless = false): Failure {
  const description = (error as { description?: unknown }).description
  return {
    code: error.code,
    description: typeof description === 'string' && description !== '' ? description : error.message,
    retryable: error.retryable || (harmless && error.mayHaveRun),
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  }
}
