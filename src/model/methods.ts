/**
 * What is known about REST methods by their names alone. Everything here errs on the careful side: a method that
 * nobody knows is taken for a write.
 */

/** A method name: dot-separated words. Case is kept; some controllers need it. */
const NAME = /^[a-z][\w-]*(?:\.[\w-]+)*$/i

/** True for a well-formed method name; spaces, slashes, `..`, query strings and suffix tricks are not. */
export function isMethodName(text: string): boolean {
  return text.length <= 200 && NAME.test(text)
}

const READ_ENDINGS = new Set(
  (
    'get list fields getlist search current types getfields getchildren count tail settings schema history ' +
    'isavailable getstatus findbycomm getmanifest getforapp'
  ).split(' '),
)
const READ_NAMES = new Set(
  (
    'profile scope methods events server.time app.info user.admin user.access access.name ' +
    'documentation rest.documentation.openapi'
  ).split(' '),
)

/** `event.offline.get` removes what it returns unless told otherwise, so it is no read although it is named so. */
const NOT_READS = new Set(['event.offline.get'])

/** True when repeating the call can do no harm: it only reads. Unknown methods are writes. */
export function isReadMethod(method: string): boolean {
  const name = method.toLowerCase()
  if (READ_NAMES.has(name)) return true
  if (NOT_READS.has(name)) return false
  return READ_ENDINGS.has(name.slice(name.lastIndexOf('.') + 1))
}

/** Families that only REST v3 has. */
const ONLY_V3 = /^(?:main\.eventlog|timeman\.record|call\.followup|note|mail|rest\.scope)\./

/**
 * True for methods that only REST v3 knows; those that both versions know (`tasks.task.*`) are called in the older one
 * unless the caller says otherwise.
 *
 * https://apidocs.bitrix24.com/api-reference/rest-v3.html
 */
export function isOnlyV3(method: string): boolean {
  return ONLY_V3.test(method.toLowerCase())
}

/** Parameters of these go by position, not by name, so they cannot be written as a query and go alone. */
const POSITIONAL = /^task\.(?:commentitem|checklistitem|elapseditem|item|planner)\./

/**
 * True for methods that take their parameters by position (`task.commentitem.add` and kin).
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
 */
export function isPositionalMethod(method: string): boolean {
  return POSITIONAL.test(method.toLowerCase())
}

const SOLO_NAMES = new Set(['batch', 'download', 'upload'])

/**
 * True for methods that may not be part of a batch: `batch` itself, uploads and downloads, positional methods.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function isSoloMethod(method: string): boolean {
  const name = method.toLowerCase()
  return (
    SOLO_NAMES.has(name) ||
    isPositionalMethod(name) ||
    /(?:^|\.)(?:uploadfile|uploadversion|attachrecord)$/.test(name)
  )
}
