import type { Json, JsonObject } from '../model/json.ts'
import { isJsonObject } from '../model/json.ts'
import { jsonMembers } from '../util/json-members.ts'
import type { Proof } from './credentials.ts'
import { readMultipart } from './multipart.ts'
import { PhpArray, parseQuery, phpToJson } from './php.ts'

/** A REST method's address taken apart. */
export interface Address {
  readonly method: string
  readonly format: 'json' | 'xml'
  readonly userId?: string
  readonly secret?: string
}

/** What a request asks for, whatever encoding it came in. */
export interface RestRequest {
  readonly proof: Proof
  /** `auth_connector`: under which name an application makes changes. */
  readonly connector: string
  /** Parameters without those that prove who calls. */
  readonly params: JsonObject
  /** The same values in the order received, for methods that go by position. */
  positional(): Json[]
  /** The entries of `cmd` in the order received; empty when it is no list or map. */
  commands(): ReadonlyMap<string, Json>
}

/** What arrived besides the address. */
export interface RawRequest {
  /** Text behind the question mark. */
  readonly query: string
  readonly contentType: string
  readonly authorization: string
  /** The header `Idempotency-Key`; absent without one. */
  readonly idempotencyKey?: string | undefined
  readonly body: Buffer
}

/** Never shown to a method. */
const RESERVED = ['auth', 'access_token', 'aplogin', 'ap', 'method', 'state', 'auth_connector']

/**
 * Reads `/rest/…/method.json`, or `undefined` for other paths. Repeated and trailing slashes do not matter; the last
 * dot segment is a format only when it is exactly `json` or `xml`.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/general-principles.html
 */
export function parseAddress(path: string): Address | undefined {
  const segments = path.split('/').filter((segment) => segment !== '')
  if (segments.shift() !== 'rest' || segments.length === 0 || segments.length > 3) return undefined
  const last = segments.length === 2 ? '' : (segments.at(-1) ?? '')
  const format = last.endsWith('.xml') ? 'xml' : 'json'
  const method = last.endsWith(`.${format}`) ? last.slice(0, -format.length - 1) : last
  if (segments.length === 1) return { method, format }
  return { method, format, userId: segments[0] ?? '', secret: segments[1] ?? '' }
}

/**
 * Merges query and body: form fields and JSON members overwrite query fields of the same name. JSON that cannot be
 * read counts as no parameters at all, and JSON without its content type as one strange form field.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
 */
export function parseRequest(address: Address, raw: RawRequest): RestRequest {
  const query = parseQuery(raw.query)
  const json = raw.body.length > 0 && isJson(raw.contentType) ? parseJson(raw.body) : undefined
  const form = raw.body.length > 0 && json === undefined ? parseForm(raw) : undefined
  const params: Record<string, Json> = {}
  for (const [name, value] of query) params[name] = phpToJson(value)
  for (const [name, value] of form ?? []) params[name] = phpToJson(value)
  if (json !== undefined) Object.assign(params, json.root)
  const proof = readProof(address, raw.authorization, params)
  const connector = textOf(params.auth_connector)
  for (const name of RESERVED) delete params[name]
  return {
    proof,
    connector,
    params,
    positional: () => [...values(query), ...values(form), ...membersOf(json?.root)],
    commands: () => readCommands(json, form, query),
  }
}

interface JsonBody {
  readonly text: string
  readonly root: JsonObject | readonly Json[]
}

function isJson(contentType: string): boolean {
  return contentType.split(';', 1)[0]?.trim().toLowerCase() === 'application/json'
}

function parseJson(body: Buffer): JsonBody {
  const text = body.toString()
  try {
    const root = JSON.parse(text) as Json
    return { text, root: typeof root === 'object' && root !== null ? root : {} }
  } catch {
    return { text, root: {} }
  }
}

function parseForm(raw: RawRequest): PhpArray {
  if (raw.contentType.toLowerCase().startsWith('multipart/form-data'))
    return readMultipart(raw.contentType, raw.body)
  return parseQuery(raw.body.toString())
}

/** https://apidocs.bitrix24.com/settings/how-to-call-rest-api/authorization.html */
function readProof(address: Address, authorization: string, params: JsonObject): Proof {
  if (address.secret !== undefined) return { userId: address.userId ?? '', secret: address.secret }
  if (params.ap !== undefined && params.aplogin !== undefined) {
    return { userId: String(params.aplogin), secret: String(params.ap) }
  }
  const bearer = /^bearer\s+(.+)$/i.exec(authorization)?.[1]
  const token = bearer ?? params.auth ?? params.access_token
  return token === undefined ? {} : { token: String(token) }
}

function textOf(value: Json | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : ''
}

function values(fields: PhpArray | undefined): Json[] {
  if (fields === undefined) return []
  return [...fields].filter(([name]) => !RESERVED.includes(name)).map(([, value]) => phpToJson(value))
}

function membersOf(root: JsonBody['root'] | undefined): Json[] {
  if (root === undefined) return []
  return Object.entries(root).flatMap(([name, value]: [string, Json]) =>
    RESERVED.includes(name) ? [] : [value],
  )
}

function readCommands(
  json: JsonBody | undefined,
  form: PhpArray | undefined,
  query: PhpArray,
): Map<string, Json> {
  if (json !== undefined && !Array.isArray(json.root)) {
    const name = Object.keys(json.root).findLast((key) => key.toLowerCase() === 'cmd')
    if (name !== undefined) return jsonCommands(json, name)
  }
  for (const fields of [form, query]) {
    for (const [name, value] of fields ?? []) {
      if (name.toLowerCase() === 'cmd' && value instanceof PhpArray) {
        return new Map(Array.from(value, ([key, item]) => [key, phpToJson(item)]))
      }
    }
  }
  return new Map()
}

function jsonCommands(json: JsonBody, name: string): Map<string, Json> {
  const cmd = isJsonObject(json.root) ? json.root[name] : undefined
  if (typeof cmd !== 'object' || cmd === null) return new Map()
  const keys = Object.keys(cmd)
  const ordered = Array.isArray(cmd) || !/^\d+$/.test(keys[0] ?? '') ? keys : keysAsWritten(json.text, name)
  return new Map(ordered.map((key) => [key, (cmd as JsonObject)[key] ?? null]))
}

/** PHP keeps the order of the text, where JavaScript sorts names that look like numbers. */
function keysAsWritten(text: string, name: string): string[] {
  const member = jsonMembers(text).findLast((candidate) => candidate.name === name)
  return member === undefined ? [] : jsonMembers(text, member.start).map((inner) => inner.name)
}
