import type { Json, JsonObject } from '../../model/json.ts'
import { isJsonObject } from '../../model/json.ts'
import type { Dialect } from '../dialect.ts'
import type { Answer, Call } from '../method.ts'
import type { NamedMethod } from '../perform.ts'
import type { Address, RawRequest, RestRequest } from '../request.ts'
import { plainAnswer } from '../respond.ts'
import { inV3, V3Fault, v3ErrorBody } from './errors.ts'
import { findV3Method } from './registry.ts'

/** Reads `/rest/api/{method}` and `/rest/api/{user}/{secret}/{method}`; `undefined` for other paths. */
export function parseV3Address(path: string): Address | undefined {
  const [root, api, ...rest] = path.split('/').filter((segment) => segment !== '')
  if (root !== 'rest' || api !== 'api') return undefined
  const [first, secret, method] = rest
  if (rest.length === 1) return { method: first ?? '', format: 'json' }
  if (rest.length !== 3) return undefined
  return { method: method ?? '', format: 'json', userId: first ?? '', secret: secret ?? '' }
}

/**
 * What is spoken at `/rest/api/`: JSON bodies, results in one shape, errors as objects, and keys by which a repetition
 * is told. The query of the address is not read.
 *
 * https://apidocs.bitrix24.com/api-reference/rest-v3.html
 */
export const V3: Dialect = {
  findMethod: findV3Method,
  parse,
  once,
  success: ({ result, headers = {} }, time) => ({ ...plainAnswer({ result, time }), headers }),
  failure(fault, switches) {
    const named = inV3(fault)
    return plainAnswer(v3ErrorBody(named), switches.statuses[named.code] ?? named.status)
  },
}

function parse(address: Address, { body, authorization }: RawRequest): RestRequest {
  const { auth, ...params } = parseBody(body)
  const bearer = /^bearer\s+(.+)$/i.exec(authorization)?.[1]
  const token = bearer ?? auth
  return {
    proof:
      address.secret === undefined
        ? token === undefined
          ? {}
          : { token: String(token) }
        : { userId: address.userId ?? '', secret: address.secret },
    connector: '',
    params,
    positional: () => Object.values(params),
    commands: () => new Map(),
  }
}

function parseBody(body: Buffer): JsonObject {
  if (body.length === 0) return {}
  try {
    const root = JSON.parse(body.toString()) as Json
    if (isJsonObject(root)) return root
  } catch {
    // Answered below, as any other body that is no object.
  }
  throw new V3Fault('INVALIDJSONEXCEPTION', 'The request body is not valid JSON')
}

const KEY = /^[\x20-\x7e]{1,255}$/

/** A write is carried out once under a key: the next time what it answered is answered again. */
function once(named: NamedMethod, call: Call, { idempotencyKey: key }: RawRequest): NamedMethod {
  if (key === undefined || named.method.writes !== true) return named
  const run = (): Answer => {
    if (!KEY.test(key))
      throw new V3Fault(
        'INVALIDIDEMPOTENCYKEYEXCEPTION',
        'The idempotency key must have 1 to 255 printable ASCII characters',
      )
    const { portal, credential, params } = call
    const place = JSON.stringify([credential.key, credential.userId, named.name, key])
    const request = JSON.stringify(params)
    const before = portal.replays.find(place, request, portal.now())
    if (before === 'other')
      throw new V3Fault(
        'IDEMPOTENCYKEYREUSEDEXCEPTION',
        'The idempotency key was used for another request',
        422,
      )
    const headers = { 'Idempotency-Key': key }
    if (before !== undefined) return { ...before, headers: { ...headers, 'Idempotent-Replayed': 'true' } }
    const answer = named.method.run(call)
    portal.replays.keep(place, request, answer, portal.now())
    return { ...answer, headers }
  }
  return { name: named.name, method: { ...named.method, run } }
}
