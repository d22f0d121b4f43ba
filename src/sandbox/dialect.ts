import type { RestFault } from './errors.ts'
import type { Answer, Call } from './method.ts'
import { findMethod } from './methods/registry.ts'
import type { Switches } from './options.ts'
import type { NamedMethod } from './perform.ts'
import { type Address, parseRequest, type RawRequest, type RestRequest } from './request.ts'
import { errorAnswer, type HttpAnswer, successAnswer } from './respond.ts'
import type { AnswerTime } from './time.ts'

/** How a version of the REST API is spoken; limits, credentials and faults are the same for all. */
export interface Dialect {
  readonly findMethod: (name: string) => NamedMethod | undefined
  /** Throws a `RestFault` for what cannot be read. */
  parse(address: Address, raw: RawRequest): RestRequest
  /** The method as it is to be carried out for this call. */
  once(named: NamedMethod, call: Call, raw: RawRequest): NamedMethod
  success(answer: Answer, time: AnswerTime, address: Address): HttpAnswer
  failure(fault: RestFault, switches: Switches, address: Address): HttpAnswer
}

/** What is spoken at `/rest/`. https://apidocs.bitrix24.com/settings/how-to-call-rest-api/general-principles.html */
export const V2: Dialect = {
  findMethod,
  parse: parseRequest,
  once: (named) => named,
  success: (answer, time, { format }) => successAnswer(answer, time, format),
  failure: (fault, switches, { format }) => errorAnswer(fault, switches, format),
}
