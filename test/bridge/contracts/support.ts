import type { Contract, ReplyContext } from '../../../src/bridge/contracts/contract.ts'
import type { Message } from '../../../src/brokers/broker.ts'
import { CommandError } from '../../../src/model/errors.ts'
import type { Json, JsonObject } from '../../../src/model/json.ts'
import type { BatchChunk, Outcome } from '../../../src/model/outcome.ts'

export const context: ReplyContext = {
  now: 1_763_769_600_500,
  newId: 'new-id',
  portal: 'example.bitrix24.com',
}

/** A message with this body: text and bytes as they are, anything else as JSON. */
export function message(body: Json | Buffer | string, properties: Partial<Message> = {}): Message {
  const bytes = Buffer.isBuffer(body)
    ? body
    : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
  return { body: bytes, headers: {}, ...properties }
}

/** The error with which a contract refuses a message; fails when it does not. */
export function refusal(contract: Contract, bad: Message): CommandError {
  try {
    contract.parse(bad)
  } catch (error) {
    if (error instanceof CommandError) return error
    throw error
  }
  throw new Error('The message was taken for a command')
}

/** The outcome that a consumer makes of a refused message. */
export function outcomeOf(error: CommandError): Outcome {
  const { code, message, hint, retryable, status } = error
  const failure = { code, description: message, retryable, ...(hint === undefined ? {} : { hint }) }
  return { kind: 'failed', status, failure, attempts: 0 }
}

/** The portal's answer to a call, good or bad. */
export function answered(
  body: JsonObject,
  { status = 200, raw }: { status?: number; raw?: string } = {},
): Outcome {
  const answer = { status, body, attempts: 1, ...(raw === undefined ? {} : { raw }) }
  const { error, error_description: description } = body
  const result = { action: 'call' as const, answer }
  if (error === undefined) return { kind: 'done', status, attempts: 1, result }
  const failure = { code: String(error), description: String(description ?? ''), retryable: false }
  return { kind: 'failed', status, attempts: 1, result, failure }
}

/** One request of a batch. */
export function chunk(
  names: readonly string[],
  maps: Partial<BatchChunk['body']['result']>,
  status = 200,
): BatchChunk {
  return {
    status,
    names,
    body: {
      result: { result: {}, result_error: {}, result_total: {}, result_next: {}, result_time: {}, ...maps },
      time: { start: 1, finish: 2 },
    },
  }
}

/** The reply's body as a value. */
export function bodyOf(reply: Message): JsonObject {
  return JSON.parse(reply.body.toString('utf8')) as JsonObject
}
