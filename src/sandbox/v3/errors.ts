import { RestFault } from '../errors.ts'

const PREFIX = 'BITRIX_REST_V3_EXCEPTION_'

/** What is wrong with one field of a request. */
export interface FieldFault {
  readonly field: string
  readonly message: string
}

/**
 * What REST v3 answers instead of a result. `suffix` is the part of the code behind `BITRIX_REST_V3_EXCEPTION_`.
 *
 * https://apidocs.bitrix24.com/api-reference/rest-v3.html
 */
export class V3Fault extends RestFault {
  readonly validation: readonly FieldFault[]

  constructor(suffix: string, message: string, status = 400, validation: readonly FieldFault[] = []) {
    super(`${PREFIX}${suffix}`, message, status)
    this.validation = validation
  }
}

/** Fields that are missing or of the wrong type. */
export function invalid(validation: readonly FieldFault[]): V3Fault {
  return new V3Fault(
    'VALIDATION_REQUESTVALIDATIONEXCEPTION',
    'Error during request object validation',
    400,
    validation,
  )
}

/** Errors of the REST server itself: what stands behind the prefix, and the status, by the code of the older version. */
const NAMES: Readonly<Record<string, readonly [suffix: string, status: number]>> = {
  NO_AUTH_FOUND: ['ACCESSDENIEDEXCEPTION', 401],
  INVALID_CREDENTIALS: ['ACCESSDENIEDEXCEPTION', 401],
  expired_token: ['ACCESSDENIEDEXCEPTION', 401],
  invalid_token: ['ACCESSDENIEDEXCEPTION', 401],
  ACCESS_DENIED: ['ACCESSDENIEDEXCEPTION', 403],
  WRONG_AUTH_TYPE: ['ACCESSDENIEDEXCEPTION', 403],
  insufficient_scope: ['INSUFFICIENTSCOPEEXCEPTION', 403],
  ERROR_METHOD_NOT_FOUND: ['METHODNOTFOUNDEXCEPTION', 404],
  OPERATION_TIME_LIMIT: ['RATELIMITEXCEPTION', 429],
}

/** The fault as REST v3 calls it; what it has no name for keeps its own. */
export function inV3(fault: RestFault): RestFault {
  const [suffix, status] = NAMES[fault.code] ?? []
  return suffix === undefined ? fault : new V3Fault(suffix, fault.message, status)
}

/** The error object of an answer. */
export function v3ErrorBody(fault: RestFault): Record<string, unknown> {
  const validation = fault instanceof V3Fault ? fault.validation : []
  return {
    error: { code: fault.code, message: fault.message, ...(validation.length === 0 ? {} : { validation }) },
  }
}
