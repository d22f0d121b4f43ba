import { CommandError } from '../../../model/errors.ts'

/** Why the hidden events of a portal are not shown or not offered again. */
export const OFFLINE_REFUSALS = {
  ERRORS_INVALID: {
    status: 400,
    description: 'What is asked for is not written as it must be.',
    hint: 'To list there are portal, after and limit; to offer again a JSON object with portal, application, connector.',
  },
  PORTAL_UNKNOWN: {
    status: 404,
    description: 'No portal is known by this name.',
    hint: 'Name its member id, its domain or an alias: `b24-bridge portals list` shows them.',
  },
  QUEUE_UNKNOWN: {
    status: 404,
    description: 'The portal has no such offline queue.',
    hint: 'Queues are found when an offline handler is bound, within a day or when the portal calls.',
  },
} as const

/** The error to throw for a refusal of the table. */
export function refuseOffline(code: keyof typeof OFFLINE_REFUSALS): CommandError {
  const { description, ...rest } = OFFLINE_REFUSALS[code]
  return new CommandError(code, description, rest)
}
