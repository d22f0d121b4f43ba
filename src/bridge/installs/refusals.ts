import type { CommandError } from '../../model/errors.ts'
import { type Refusal, refusalError } from '../refusal.ts'

/** Why an installation, an authorization or a life-cycle event is turned away. Nothing has been written then. */
export const INSTALL_REFUSALS = {
  FORM_INVALID: {
    status: 400,
    description: 'This is not the form that a portal posts.',
    hint: 'Open this address by way of the portal: as the page of an application, or as its handler of events.',
  },
  STATE_INVALID: {
    status: 400,
    description: 'The state is not one that this bridge gave out.',
    hint: 'Begin again at /oauth/start.',
  },
  STATE_EXPIRED: {
    status: 400,
    description: 'The authorization took longer than ten minutes.',
    hint: 'Begin again at /oauth/start.',
  },
  CODE_REFUSED: {
    status: 400,
    description: 'The authorization server does not accept the code: it lives 30 seconds and works once.',
    hint: 'Begin again at /oauth/start.',
  },
  APPLICATION_MISSING: {
    status: 400,
    description: 'The request does not say which application it means, and there is not exactly one.',
    hint: 'Add client_id; applications are added with b24-bridge apps add.',
  },
  TOKENS_INVALID: {
    status: 400,
    description: 'The body needs access_token or refresh_token, and texts and numbers in the other keys.',
    hint: 'For example: { "client_id": "local.abc", "access_token": "…", "refresh_token": "…" }.',
  },
  PAYMENT_REQUIRED: {
    status: 402,
    description: 'The subscription of the portal or the application has ended.',
  },
  SERVER_NOT_ALLOWED: {
    status: 403,
    description: 'The authorization server that is named is not one of those allowed.',
    hint: 'For a self-hosted portal add its server to BRIDGE_OAUTH_SERVERS.',
  },
  TOKEN_REFUSED: {
    status: 403,
    description: 'The authorization server does not know the token, or it has expired.',
    hint: 'Open the application on the portal once more.',
  },
  MEMBER_MISMATCH: {
    status: 403,
    description: 'The token belongs to another portal than the one that is named.',
  },
  DOMAIN_MISMATCH: {
    status: 403,
    description: 'The domain is not that of the portal to which the token belongs.',
  },
  APPLICATION_UNKNOWN: {
    status: 403,
    description: 'The application is not one of those that this bridge knows.',
    hint: 'Add it with b24-bridge apps add.',
  },
  PORTAL_REFUSED: {
    status: 403,
    description: 'The portal itself does not accept the token.',
    hint: 'Open the application on the portal once more.',
  },
  NOT_ADMIN: {
    status: 403,
    description: 'Only an administrator of the portal can install the application.',
    hint: 'Ask an administrator to open the application once.',
  },
  APPLICATION_TOKEN_WRONG: {
    status: 403,
    description: 'The application token is not one of this portal.',
    hint: 'Install the application again, so that the bridge learns its token.',
  },
  EVENT_UNKNOWN: {
    status: 404,
    description: 'Only ONAPPINSTALL, ONAPPUPDATE and ONAPPUNINSTALL are taken here.',
  },
  PORTAL_UNKNOWN: {
    status: 404,
    description: 'No portal is known under this name.',
    hint: 'Use its member id, its domain or its alias; a new portal needs its member id here and its domain in the body.',
  },
  STATE_USED: {
    status: 409,
    description: 'This authorization has been finished already.',
    hint: 'Begin again at /oauth/start.',
  },
  FORM_TOO_LARGE: {
    status: 413,
    description: 'The form is larger than any that a portal posts.',
  },
  TOO_MANY_INSTALLS: {
    status: 429,
    description: 'Too many requests are being checked at the authorization servers at this moment.',
    hint: 'Try again in a few seconds.',
  },
  APPLICATION_REFUSED: {
    status: 502,
    description: 'The authorization server does not accept the id and secret of the application.',
    hint: 'Set the secret again with b24-bridge apps add.',
  },
  PORTAL_UNREACHABLE: {
    status: 502,
    description: 'The portal gave no usable answer.',
    hint: 'Try again; the portal must be reachable from the bridge.',
  },
  AUTH_SERVER_UNREACHABLE: {
    status: 503,
    description: 'The authorization server gave no usable answer.',
    hint: 'Try again; the server must be reachable from the bridge.',
  },
} as const satisfies Readonly<Record<string, Refusal>>

/** A code of the table. */
export type InstallRefusal = keyof typeof INSTALL_REFUSALS

/** The error to throw for a refusal of the table. */
export function refuseInstall(code: InstallRefusal, cause?: unknown): CommandError {
  return refusalError(code, INSTALL_REFUSALS[code], cause)
}

/** Counts refusals by way and reason, and logs them: the first at once, then one line in ten seconds with the number. */
export function createRefusalLog(
  log: (event: string, fields: Readonly<Record<string, unknown>>) => void,
  now: () => number,
  name = 'install.refused',
): (way: string, reason: string) => void {
  const seen = new Map<string, { count: number; logged: number; at: number }>()
  return (way, reason) => {
    const key = `${way} ${reason}`
    const known = seen.get(key) ?? { count: 0, logged: 0, at: Number.NEGATIVE_INFINITY }
    seen.set(key, known)
    known.count += 1
    if (now() - known.at < LOG_EVERY_MS) return
    known.at = now()
    log(name, { way, reason, count: known.count, since_last_line: known.count - known.logged })
    known.logged = known.count
  }
}

const LOG_EVERY_MS = 10_000
