import type { AnswerTime } from '../model/call.ts'
import { AuthError, type BridgeError, RestError, ThrottledError, TransportError } from '../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../model/json.ts'

/** What the portal said to one request: a body without `error`, or the error that it means. */
export type Decoded =
  | { readonly ok: true; readonly body: JsonObject }
  | { readonly ok: false; readonly error: BridgeError; readonly body?: JsonObject }

/**
 * Reads the answer to one request. A body with the key `error` is a failure whatever its HTTP status and whatever
 * the value, `""` and `0` included. Anything that is not a JSON object is a `TransportError`: after a 5xx or a cut
 * body nobody can tell whether the call ran.
 *
 * https://apidocs.bitrix24.com/error-codes.html
 */
export function decodeAnswer(status: number, text: string): Decoded {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch {
    return { ok: false, error: notJson(status, text) }
  }
  if (!isJsonObject(body)) return { ok: false, error: notJson(status, text) }
  if ('error' in body) return { ok: false, error: refusal(body, status), body }
  if (status >= 500) return { ok: false, error: notJson(status, text), body }
  if (!('result' in body)) return { ok: false, error: notJson(status, text), body }
  return { ok: true, body }
}

/**
 * The error that an envelope `{ error, error_description }` means. `status` 0 stands for a command inside a batch,
 * which has none of its own: it gets the one that the code has when sent alone.
 */
export function refusal(body: JsonObject, status: number): BridgeError {
  const { code, description } = envelope(body)
  const key = code.toLowerCase()
  const known = CODES[status === 401 ? `${key} 401` : key] ?? CODES[key]
  const finalStatus = status === 0 || status === 200 ? (known?.status ?? 400) : status
  const details = known?.hint === undefined ? {} : { hint: known.hint }
  switch (known?.kind) {
    case 'throttled':
      return new ThrottledError(code, description, finalStatus, details)
    case 'auth':
      return new AuthError(code, description, finalStatus, details)
    case 'broken':
      // Inside a batch the portal itself says that this command failed; alone, the request may have died half-way.
      if (status !== 0) {
        return new TransportError(code, `The portal answered ${code}: ${description}`, {
          sent: 'maybe',
          status: finalStatus,
          ...details,
        })
      }
      return new RestError(code, description, finalStatus, details)
    default:
      return new RestError(code, description, finalStatus, details)
  }
}

interface KnownCode {
  readonly kind: 'throttled' | 'auth' | 'suspended' | 'broken' | 'plain'
  readonly status: number
  readonly hint?: string
}

/**
 * Codes that are not about the call's own content, lower-case, with the status that they usually come with. Sources
 * disagree on several statuses, so the code decides. REST v3 has one code for a token that is no good and for a right
 * that is missing: there the status decides.
 *
 * https://apidocs.bitrix24.com/error-codes.html
 * https://apidocs.bitrix24.com/api-reference/rest-v3.html
 */
const CODES: Readonly<Record<string, KnownCode>> = {
  query_limit_exceeded: { kind: 'throttled', status: 503 },
  operation_time_limit: { kind: 'throttled', status: 429 },
  overload_limit: {
    kind: 'suspended',
    status: 503,
    hint: 'Bitrix24 has blocked this webhook or application by hand; only their support can lift it.',
  },
  portal_deleted: { kind: 'suspended', status: 410, hint: 'The portal was deleted or its site is closed.' },
  payment_required: {
    kind: 'suspended',
    status: 401,
    hint: 'The subscription has ended; renew it in Bitrix24.',
  },
  expired_token: { kind: 'auth', status: 401 },
  invalid_token: { kind: 'auth', status: 401 },
  no_auth_found: { kind: 'auth', status: 401, hint: 'The webhook address is incomplete; copy it again.' },
  invalid_credentials: {
    kind: 'auth',
    status: 401,
    hint: 'The webhook was deleted or changed, or its owner was dismissed; create a new one and set it.',
  },
  insufficient_scope: {
    kind: 'auth',
    status: 401,
    hint: 'Edit the webhook in Bitrix24 and tick the right that this method needs.',
  },
  user_access_error: { kind: 'auth', status: 403 },
  authorization_error: { kind: 'auth', status: 401 },
  application_not_found: { kind: 'auth', status: 401 },
  error_oauth: { kind: 'auth', status: 401 },
  not_installed: { kind: 'auth', status: 401 },
  wrong_client: { kind: 'auth', status: 401 },
  wrong_auth_type: {
    kind: 'plain',
    status: 403,
    hint: 'This method cannot be called with an incoming webhook; it needs an application.',
  },
  access_denied: { kind: 'plain', status: 403 },
  allowed_only_intranet_user: { kind: 'plain', status: 403 },
  method_confirm_waiting: {
    kind: 'plain',
    status: 401,
    hint: 'An administrator must confirm this method in Bitrix24.',
  },
  method_confirm_denied: { kind: 'plain', status: 403 },
  error_method_not_found: {
    kind: 'plain',
    status: 404,
    hint: 'Check the spelling against https://apidocs.bitrix24.com; some methods exist only on some plans.',
  },
  error_batch_length_exceeded: { kind: 'plain', status: 400 },
  error_batch_method_not_allowed: { kind: 'plain', status: 405 },
  bitrix_rest_v3_exception_ratelimitexception: { kind: 'throttled', status: 429 },
  'bitrix_rest_v3_exception_accessdeniedexception 401': { kind: 'auth', status: 401 },
  bitrix_rest_v3_exception_insufficientscopeexception: {
    kind: 'auth',
    status: 403,
    hint: 'Edit the webhook in Bitrix24 and tick the right that this method needs.',
  },
  bitrix_rest_v3_exception_methodnotfoundexception: {
    kind: 'plain',
    status: 404,
    hint: 'Not all methods are there in REST v3: leave out api, or write "api": "v2".',
  },
  internal_server_error: { kind: 'broken', status: 500 },
  error_unexpected_answer: { kind: 'broken', status: 500 },
}

/** True for refusals that concern the whole portal for a long time, not this call. */
export function isSuspension(error: BridgeError): boolean {
  return CODES[error.code.toLowerCase()]?.kind === 'suspended'
}

/** `error` may be a text, a number or, in REST v3, an object with `code` and `message`. */
function envelope(body: JsonObject): { code: string; description: string } {
  const error = body.error
  if (isJsonObject(error)) return { code: asText(error.code), description: asText(error.message) }
  return { code: asText(error), description: asText(body.error_description) }
}

function asText(value: Json | undefined): string {
  if (value === undefined || value === null) return ''
  return typeof value === 'string' ? value : JSON.stringify(value)
}

function notJson(status: number, text: string): BridgeError {
  const page = /^\s*</.test(text)
  if (status >= 400 && status < 500 && status !== 408 && status !== 425) {
    if (status === 429) return new ThrottledError('HTTP_429', 'Too many requests', 429)
    return new RestError(
      `HTTP_${status}`,
      page ? 'a web page instead of an answer' : 'no answer in JSON',
      status,
      {
        hint: 'Something in front of the portal answered. Is the address that of a Bitrix24 portal with REST?',
      },
    )
  }
  const what = page ? 'a web page' : text.length === 0 ? 'an empty body' : 'a cut or foreign body'
  return new TransportError('UNEXPECTED_ANSWER', `The portal answered HTTP ${status} with ${what}`, {
    sent: 'maybe',
    status,
  })
}

/** `time` of a body, or an empty object; every field of it may be missing. */
export function answerTime(value: Json | undefined): AnswerTime {
  return isJsonObject(value) ? (value as AnswerTime) : {}
}
