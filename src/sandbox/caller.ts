import type { Installation } from './apps/installations.ts'
import { systemFault } from './errors.ts'
import { type Call, param } from './method.ts'

/** The application that calls. Throws `WRONG_AUTH_TYPE` for a webhook. */
export function installationOf({ credential }: Call): Installation {
  if (credential.installation === undefined) throw systemFault('WRONG_AUTH_TYPE')
  return credential.installation
}

/** The same for methods that answer a webhook with `ACCESS_DENIED` instead. */
export function ownApplication({ credential }: Call): Installation {
  if (credential.installation === undefined)
    throw systemFault('ACCESS_DENIED', 'Access denied! Application context required')
  return credential.installation
}

/** User 1 is the portal's only administrator. */
export function isAdmin({ credential }: Call): boolean {
  return credential.userId === 1
}

/** Throws `ACCESS_DENIED` for everybody but the administrator. */
export function requireAdmin(call: Call): void {
  if (!isAdmin(call)) throw systemFault('ACCESS_DENIED')
}

/** A parameter as text, whatever the case of its name; empty when it is missing. */
export function text({ params }: Call, name: string): string {
  const value = param(params, name)
  return value === undefined || value === null || typeof value === 'object' ? '' : String(value)
}
