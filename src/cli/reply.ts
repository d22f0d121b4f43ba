import type { Message } from '../brokers/broker.ts'
import type { ContractConfig } from '../config/config.ts'
import { type BridgeError, RestError, TransportError } from '../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../model/json.ts'
import type { OutcomeKind } from '../model/outcome.ts'

/** A reply as it came from the queue. */
export interface Reply {
  readonly outcome: OutcomeKind
  /** The whole body. */
  readonly body: Json
  /** The part that the sender asked for. */
  readonly result: Json
  /** Absent when the command was carried out. */
  readonly error?: BridgeError
}

/** Reads a reply of any contract. Never throws; a body that is no JSON is taken as text. */
export function readReply(contract: ContractConfig['name'], message: Message): Reply {
  const body = parse(message.body.toString('utf8'))
  const part = innerPart(contract, body)
  const status = number(part.status_code) ?? number(message.headers['x-b24-status']) ?? 200
  const failure = failureOf(contract, part)
  const outcome = outcomeOf(message.headers['x-b24-outcome'] ?? part.outcome, failure !== undefined)
  const result = (contract === 'rabbitmq-to-bitrix24' ? (part.result ?? body) : part.result) ?? null
  if (outcome === 'done') return { outcome, body, result }
  return { outcome, body, result, error: errorOf(outcome, status, failure) }
}

interface ReplyFailure {
  readonly code: string
  readonly description: string
  readonly hint?: string
}

/** bitrix24-bridge wraps its answer twice: an envelope, and a list in it. */
function innerPart(contract: ContractConfig['name'], body: Json): JsonObject {
  if (!isJsonObject(body)) return {}
  if (contract !== 'bitrix24-bridge') return body
  const first = Array.isArray(body.result) ? body.result[0] : body.result
  return isJsonObject(first) ? first : {}
}

function failureOf(contract: ContractConfig['name'], part: JsonObject): ReplyFailure | undefined {
  const inner = contract === 'bitrix24-bridge' && Array.isArray(part.result) ? part.result[0] : part
  const error = isJsonObject(part.error) ? part.error : undefined
  if (error !== undefined)
    return {
      code: text(error.code) ?? 'ERROR',
      description: text(error.description) ?? '',
      ...(typeof error.hint === 'string' && { hint: error.hint }),
    }
  if (!isJsonObject(inner) || typeof inner.error !== 'string') return undefined
  return { code: inner.error, description: text(inner.error_description) ?? '' }
}

function outcomeOf(said: unknown, failed: boolean): OutcomeKind {
  if (said === 'done' || said === 'failed' || said === 'unknown') return said
  return failed ? 'failed' : 'done'
}

/** `unknown` may have run; 5xx means that the portal was not reached; everything else is a refusal. */
function errorOf(outcome: OutcomeKind, status: number, failure: ReplyFailure | undefined): BridgeError {
  const { code = 'ERROR', description = '', hint } = failure ?? {}
  const details = hint === undefined ? {} : { hint }
  const sentence = description === '' ? `The reply says ${code}.` : `${code}: ${description}`
  if (outcome === 'unknown') return new TransportError(code, sentence, { sent: 'maybe', status, ...details })
  if (status >= 500) return new TransportError(code, sentence, { sent: false, status, ...details })
  return new RestError(code, description, status, details)
}

function parse(body: string): Json {
  try {
    return JSON.parse(body) as Json
  } catch {
    return body
  }
}

function number(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}
