import { type BridgeError, CommandError, RestError, TransportError } from '../../model/errors.ts'

/** HTTP status that an error carries, 0 when it has none. */
export function statusOf(error: BridgeError): number {
  const status = (error as { status?: unknown }).status
  return typeof status === 'number' ? status : 0
}

/** A name that could change the address of a request if it were sent. */
export function badMethod(method: string): CommandError {
  return new CommandError('METHOD_INVALID', `${JSON.stringify(method.slice(0, 80))} is not a method name`, {
    hint: 'Method names are words with dots between, such as crm.deal.add.',
  })
}

/** Time was over before a place was free. */
export function deadlineExceeded(): CommandError {
  return new CommandError('DEADLINE_EXCEEDED', 'The deadline passed before the call could be sent', {
    status: 504,
    hint: 'The call was not made. Allow more time, or send less to this portal at once.',
  })
}

/** Work waited long enough for a portal that is down; a suspension speaks for itself. */
export function unreachable(reason: BridgeError): BridgeError {
  if (!(reason instanceof TransportError)) return reason
  return new TransportError('PORTAL_UNREACHABLE', `The call was not made: ${reason.message}`, {
    sent: false,
    status: 503,
    hint: reason.hint ?? 'Send the command again when the portal is back.',
  })
}

/** Somebody has sent the call before us, and the answer reached nobody. */
export function answerLost(): TransportError {
  return new TransportError('ANSWER_LOST', 'The call was sent before, and no answer to it is known', {
    sent: 'maybe',
  })
}

/** Another process was told by the portal to stay away. */
export function suspendedElsewhere(code: string): RestError {
  return new RestError(code, 'The portal has told another process of the bridge to stay away for now', 403)
}
