/** What the portal answers instead of a result: a code, a text and the HTTP status that goes with them. */
export class RestFault extends Error {
  readonly code: string
  readonly status: number
  /** Members beside `error` and `error_description`, for example `argument`. */
  readonly extra: Readonly<Record<string, string>> | undefined

  constructor(code: string, description: string, status = 400, extra?: Readonly<Record<string, string>>) {
    super(description)
    this.code = code
    this.status = status
    this.extra = extra
  }
}

/**
 * Errors of the REST server itself: text and status. The documentation, the SDKs and the server's own source differ
 * on several statuses; these are the ones seen in practice, and `switches.statuses` replaces any of them.
 *
 * https://apidocs.bitrix24.com/error-codes.html
 */
const SYSTEM = {
  QUERY_LIMIT_EXCEEDED: ['Too many requests', 503],
  OPERATION_TIME_LIMIT: ['Method is blocked due to operation time limit.', 429],
  OVERLOAD_LIMIT: ['REST API is blocked due to overload.', 503],
  expired_token: ['The access token provided has expired.', 401],
  invalid_token: ['Unable to get application by token', 401],
  PAYMENT_REQUIRED: ['Payment required', 401],
  NO_AUTH_FOUND: ['Wrong authorization data', 401],
  INVALID_CREDENTIALS: ['Invalid request credentials', 401],
  insufficient_scope: ['The request requires higher privileges than provided by the access token', 401],
  ACCESS_DENIED: ['Access denied!', 403],
  WRONG_AUTH_TYPE: ['Current authorization type is denied for this method', 403],
  ERROR_METHOD_NOT_FOUND: ['Method not found!', 404],
  INVALID_REQUEST: ['Https required.', 400],
  PORTAL_DELETED: ['Portal was deleted', 410],
  ERROR_BATCH_LENGTH_EXCEEDED: ['Max batch length exceeded', 400],
  ERROR_BATCH_METHOD_NOT_ALLOWED: ['Method is not allowed for batch usage', 405],
} as const

/** One of the server's own errors, with its usual text unless another is given. */
export function systemFault(code: keyof typeof SYSTEM, description?: string): RestFault {
  const [text, status] = SYSTEM[code]
  return new RestFault(code, description ?? text, status)
}

/** An argument that is missing or wrong. */
export function argumentFault(argument: string, description: string): RestFault {
  return new RestFault('ERROR_ARGUMENT', description, 400, { argument })
}

/** The portal's plan does not have what a call asks for. */
export function unlicensed(what: string): RestFault {
  return new RestFault('WRONG_LICENSE', `This feature is not enabled for the current license: ${what}`, 403)
}

/** The error object as it stands in answers and in `result_error`. */
export function errorBody(fault: RestFault, emptyDescriptions: boolean): Record<string, string> {
  return { error: fault.code, error_description: emptyDescriptions ? '' : fault.message, ...fault.extra }
}
