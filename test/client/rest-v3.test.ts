import { expect, it } from 'vitest'
import { decodeAnswer } from '../../src/client/decode.ts'
import { decide } from '../../src/client/lane/decide.ts'
import { AuthError, RestError, ThrottledError } from '../../src/model/errors.ts'

const CIRCUMSTANCES = {
  read: false,
  keyed: false,
  attempts: 1,
  maxAttempts: 3,
  portalDown: false,
  batched: false,
  outer: false,
}

// https://apidocs.bitrix24.com/api-reference/rest-v3.html
function refusalOf(suffix: string, status: number): RestError {
  const error = { code: `BITRIX_REST_V3_EXCEPTION_${suffix}`, message: 'So it is' }
  const decoded = decodeAnswer(status, JSON.stringify({ error }))
  if (decoded.ok || !(decoded.error instanceof RestError)) throw new Error('no refusal')
  return decoded.error
}

it('REST v3 says by the status whether a token is no good or a right is missing', () => {
  expect(refusalOf('ACCESSDENIEDEXCEPTION', 401)).toBeInstanceOf(AuthError)
  expect(refusalOf('ACCESSDENIEDEXCEPTION', 403)).not.toBeInstanceOf(AuthError)
  expect(refusalOf('INSUFFICIENTSCOPEEXCEPTION', 403)).toBeInstanceOf(AuthError)
  expect(refusalOf('ENTITYNOTFOUNDEXCEPTION', 400)).toMatchObject({
    status: 400,
    message: expect.stringContaining('So it is'),
  })
})

it('a method of REST v3 that has used up its time rests, as one of the older version does', () => {
  const error = refusalOf('RATELIMITEXCEPTION', 429)
  expect(error).toBeInstanceOf(ThrottledError)
  expect(decide(error, CIRCUMSTANCES)).toBe('rest-method')
})
