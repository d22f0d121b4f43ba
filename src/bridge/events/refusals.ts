import type { CommandError } from '../../model/errors.ts'
import { type Refusal, refusalError } from '../refusal.ts'

/** Why an event request is turned away. Nothing of it has been kept then. */
export const EVENT_REFUSALS = {
  FORM_INVALID: {
    status: 400,
    description: 'This is not a form that a portal posts.',
    hint: 'Give this address to a portal as the handler of events, robots or message providers.',
  },
  NOT_VERIFIED: {
    status: 403,
    description: 'Neither the application token nor the key in the address is one of this portal.',
    hint: 'Install the application again, or add the token of the outgoing webhook.',
  },
  SOURCE_NOT_LISTED: {
    status: 403,
    description: 'The request does not come from an address from which portals send events.',
    hint: 'Set BRIDGE_EVENT_SOURCES to log, or name the proxy in front in BRIDGE_TRUSTED_PROXIES.',
  },
  HAPPENING_UNKNOWN: {
    status: 404,
    description: 'Requests of this kind are not taken at this address.',
    hint: 'Pages of applications and calls that wait for an answer have addresses of their own.',
  },
  FORM_TOO_LARGE: {
    status: 413,
    description: 'The form is larger than any that a portal posts.',
  },
  FORM_TYPE: {
    status: 415,
    description: 'The body must be an uncompressed form in UTF-8.',
    hint: 'Send the header "Content-Type: application/x-www-form-urlencoded".',
  },
  NOT_KEPT: {
    status: 503,
    description: 'The event could be kept neither at the broker nor in the store.',
    hint: 'Look at the health of both: GET /health/ready.',
  },
} as const satisfies Readonly<Record<string, Refusal>>

/** A code of the table. */
export type EventRefusal = keyof typeof EVENT_REFUSALS

/** The error to throw for a refusal of the table. */
export function refuseEvent(code: EventRefusal, cause?: unknown): CommandError {
  return refusalError(code, EVENT_REFUSALS[code], cause)
}
