import type { Json, JsonObject } from '../model/json.ts'
import type { Credential } from './credentials.ts'
import type { Exchange } from './perform.ts'
import type { Portal } from './portal.ts'

/** One call as a method sees it. */
export interface Call {
  readonly portal: Portal
  readonly credential: Credential
  /** `auth_connector`, which goes with any method; empty without one. */
  readonly connector: string
  readonly params: JsonObject
  /** The values in the order received. */
  positional(): Json[]
  /** Entries of `cmd`; only `batch` asks. */
  commands(): ReadonlyMap<string, Json>
  /** The request this call came in. */
  readonly exchange: Exchange
}

/** What a method answers. `total` and `next` stand beside the result. */
export interface Answer {
  readonly result: Json | EncodedJson
  readonly total?: number
  readonly next?: number
  /** Headers of the HTTP answer; only REST v3 has any. */
  readonly headers?: Readonly<Record<string, string>>
}

/** A result that is JSON text already. */
export class EncodedJson {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** A REST method of the sandbox. */
export interface Method {
  /** Any of these scopes allows it; none asks for no scope. */
  readonly scopes: readonly string[]
  /** Only applications may call it, not webhooks. */
  readonly application?: boolean
  /** Not inside a batch, and not accounted by the operating limiter. */
  readonly solo?: boolean
  /** Creates, changes or deletes; REST v3 carries that out once for a key. */
  readonly writes?: boolean
  /** Throws a `RestFault` to answer with an error. */
  run(call: Call): Answer
}

/** Methods by lower-case name. */
export type MethodTable = Readonly<Record<string, Method>>

/** The parameter under its lower-case or upper-case name, or spelled as given: old methods do not care. */
export function param(params: JsonObject, name: string): Json | undefined {
  if (params[name] !== undefined) return params[name]
  const wanted = name.toLowerCase()
  for (const key of Object.keys(params)) if (key.toLowerCase() === wanted) return params[key]
  return undefined
}
