import type { Authorization, Credential } from '../../model/credential.ts'
import { type BridgeError, CommandError, TransportError } from '../../model/errors.ts'
import { isJsonObject, type JsonObject } from '../../model/json.ts'
import { bodyOf, decodeBatch, rawBodies } from '../batch/decode.ts'
import { encodeBatch } from '../batch/encode.ts'
import { decodeAnswer, refusal } from '../decode.ts'
import type { HttpAnswer } from '../transport.ts'
import { statusOf } from './failures.ts'
import type { Waiting } from './waiting.ts'
import type { LaneCall } from './work.ts'

/** One call inside one request. */
export interface RequestCall {
  readonly item: Waiting
  /** Index into the item's calls. */
  readonly index: number
  readonly call: LaneCall
  /** Its key in the batch; empty when it travels alone. */
  readonly key: string
}

/** One HTTP request as the lane sends it. */
export interface LaneRequest {
  readonly calls: readonly RequestCall[]
  readonly items: readonly Waiting[]
  /** `false`: one call, sent to its own method. */
  readonly batch: boolean
  readonly halt: boolean
  readonly credential: Credential
}

/** What the portal said of one call; `error` with or without a body. */
export interface Verdict {
  readonly body?: JsonObject
  readonly raw?: string
  /** `time` of the batch that carried the call. */
  readonly requestTime?: JsonObject
  readonly status: number
  readonly error?: BridgeError
}

/**
 * Puts the pending calls of the items into one request. Keys of calls without a name are random, so that no text of
 * a stranger can refer to them, and never look like numbers.
 */
export function buildRequest(items: readonly Waiting[], credential: Credential, prefix: string): LaneRequest {
  const calls: RequestCall[] = []
  for (const item of items) {
    for (const index of item.oneByOne ? item.pending.slice(0, 1) : item.pending) {
      const call = item.work.calls[index] as LaneCall
      calls.push({ item, index, call, key: call.name ?? `${prefix}${calls.length}` })
    }
  }
  // Query text as a sender wrote it is only ever put into a batch, where the portal itself takes it apart.
  const batch = calls.length > 1 || typeof calls[0]?.call.params === 'string'
  return { calls, items, batch, halt: batch && items[0]?.work.halt === true, credential }
}

/** Path, JSON body and the key of a request. */
export function encodeRequest(
  request: LaneRequest,
  authorization: Authorization,
): { readonly path: string; readonly body: string; readonly idempotencyKey?: string } {
  const { params } = authorization
  if (request.batch) {
    const lines = request.calls.map(({ item, index, call, key }) => ({
      key,
      method: call.method,
      query: item.queries[index] as string,
    }))
    return { path: `${authorization.base}batch`, body: encodeBatch(lines, request.halt, params) }
  }
  const { call } = request.calls[0] as RequestCall
  const base = baseOf(call, authorization)
  const key =
    call.api === 'v3' && call.idempotencyKey !== undefined ? { idempotencyKey: call.idempotencyKey } : {}
  const bare = Object.keys(params).length === 0
  if (bare) return { path: base + call.method, body: call.rawParams ?? JSON.stringify(call.params), ...key }
  // Parameters by position leave no room for a name in the body: what proves us goes into the address then.
  if (Array.isArray(call.params)) {
    return { path: `${base}${call.method}?${new URLSearchParams(params)}`, body: JSON.stringify(call.params) }
  }
  return {
    path: base + call.method,
    body: JSON.stringify({ ...(call.params as JsonObject), ...params }),
    ...key,
  }
}

/** REST v3 stands beside the older version: `/rest/api/1/abc/` for `/rest/1/abc/`. */
function baseOf({ api }: LaneCall, { base }: Authorization): string {
  return api === 'v3' ? base.replace(/^\/rest\//, '/rest/api/') : base
}

/**
 * What the answer means for each call, in the order of `request.calls`. `outer` is set instead when the portal
 * refused the request as a whole or its answer cannot be read.
 */
export function decodeRequest(
  request: LaneRequest,
  answer: HttpAnswer,
): { readonly outer?: BridgeError; readonly verdicts: readonly Verdict[] } {
  const decoded = decodeAnswer(answer.status, answer.text)
  if (!request.batch) {
    const raw = request.calls[0]?.call.raw === true && decoded.body !== undefined ? { raw: answer.text } : {}
    const verdict: Verdict = decoded.ok
      ? { body: decoded.body, status: answer.status, ...raw }
      : {
          error: decoded.error,
          status: statusOf(decoded.error) || answer.status,
          ...(decoded.body === undefined ? {} : { body: decoded.body }),
          ...raw,
        }
    return { verdicts: [verdict] }
  }
  if (!decoded.ok) return { outer: decoded.error, verdicts: [] }
  const maps = decodeBatch(decoded.body)
  if (maps === undefined) {
    const error = new TransportError('UNEXPECTED_ANSWER', 'The portal answered a batch with something else', {
      sent: 'maybe',
      status: answer.status,
    })
    return { outer: error, verdicts: [] }
  }
  const raws = request.calls.some(({ call }) => call.raw === true) ? rawBodies(answer.text) : undefined
  const { time } = decoded.body
  const requestTime = isJsonObject(time) ? { requestTime: time } : {}
  let halted = false
  const verdicts = request.calls.map(({ call, key }): Verdict => {
    const body = bodyOf(maps, key)
    if (body === undefined) return halted ? HALTED : missing(call.method)
    const raw = call.raw === true ? raws?.get(key) : undefined
    const withRaw = { ...(raw === undefined ? {} : { raw }), ...requestTime }
    if (!('error' in body)) return { body, status: 200, ...withRaw }
    if (request.halt) halted = true
    const error = refusal(body, 0)
    return { body, error, status: statusOf(error) || 400, ...withRaw }
  })
  return { verdicts }
}

const HALTED: Verdict = {
  status: 424,
  error: new CommandError('BATCH_HALTED', 'Not run, because an earlier command of the batch failed', {
    status: 424,
  }),
}

function missing(method: string): Verdict {
  const error = new TransportError('ANSWER_MISSING', `The answer to the batch says nothing of ${method}`, {
    sent: 'maybe',
    status: 200,
  })
  return { error, status: 502 }
}
