import type { Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { BatchChunk, Outcome } from '../../model/outcome.ts'
import type { ReplyContext } from './contract.ts'
import { holdsLongNumber, memberText, parseJson, readText, withoutMark } from './json-text.ts'
import type { NativeReplyBody } from './native-schema.ts'

/** The reply of the native contract. `meta` keeps every digit of its numbers. Never throws. */
export function nativeReply(
  message: Message,
  command: Command | undefined,
  outcome: Outcome,
  context: ReplyContext,
  maxBodyBytes: number,
): Message {
  const echo = command === undefined ? readableParts(message, maxBodyBytes) : command
  const body: NativeReplyBody = {
    portal: context.portal ?? echo.portal ?? null,
    action: echo.action ?? null,
    method: echo.method ?? null,
    outcome: outcome.kind,
    status_code: outcome.status,
    result: null,
    next: null,
    total: null,
    time: null,
    attempts: outcome.attempts,
    ...(outcome.verified === undefined ? {} : { verified: outcome.verified }),
    meta: echo.meta,
  }
  addResult(body, outcome)
  addFailure(body, outcome)
  const headers: Record<string, string | number> = {
    'x-b24-outcome': outcome.kind,
    'x-b24-attempts': outcome.attempts,
  }
  const traceparent = message.headers.traceparent
  if (typeof traceparent === 'string') headers.traceparent = traceparent
  const correlationId = message.correlationId ?? message.messageId
  return {
    body: Buffer.from(encode(body, message)),
    headers,
    messageId: context.newId,
    ...(correlationId === undefined ? {} : { correlationId }),
    contentType: 'application/json',
    timestamp: Math.floor(context.now / 1000),
    appId: 'bitrix24-bridge',
    persistent: true,
  }
}

function addResult(body: NativeReplyBody, outcome: Outcome): void {
  const { result } = outcome
  if (result?.action === 'call') {
    const answer = result.answer.body
    if (outcome.kind === 'done' || !('error' in answer)) body.result = answer.result ?? null
    body.next = asNumber(answer.next)
    body.total = asNumber(answer.total)
    body.time = isJsonObject(answer.time) ? answer.time : null
  } else if (result?.action === 'list') {
    body.result = result.rows
    body.total = result.total
    if (result.missing.length > 0)
      body.missing = result.missing.map(({ page, code, description }) => ({ page, code, description }))
  } else if (result?.action === 'batch') {
    body.result = merged(result.chunks, 'result')
    body.time = result.chunks.at(-1)?.body.time ?? null
    body.errors = errorsOf(merged(result.chunks, 'result_error'))
    body.totals = merged(result.chunks, 'result_total')
    body.nexts = merged(result.chunks, 'result_next')
  }
}

function addFailure(body: NativeReplyBody, outcome: Outcome): void {
  const { failure, kind } = outcome
  if (failure !== undefined) {
    const { code, description, retryable, hint } = failure
    body.error =
      hint === undefined ? { code, description, retryable } : { code, description, retryable, hint }
  } else if (kind !== 'done') {
    body.error = { code: 'ERROR', description: 'No reason is known.', retryable: false }
  }
}

function asNumber(value: Json | undefined): number | null {
  return typeof value === 'number' && Number.isFinite(value) ? value : null
}

/** One map of all requests of a batch; the prototype is left out so that any name is only a name. */
function merged(chunks: readonly BatchChunk[], section: keyof BatchChunk['body']['result']): JsonObject {
  const first = chunks[0]
  if (first !== undefined && chunks.length === 1) return first.body.result[section]
  return Object.assign(
    Object.create(null),
    ...chunks.map((chunk) => chunk.body.result[section]),
  ) as JsonObject
}

function errorsOf(errors: JsonObject): NonNullable<NativeReplyBody['errors']> {
  const out = Object.create(null) as NonNullable<NativeReplyBody['errors']>
  for (const [name, error] of Object.entries(errors)) {
    out[name] =
      isJsonObject(error) && 'error' in error
        ? { ...error, error: error.error }
        : { error, error_description: '' }
  }
  return out
}

/** One `JSON.stringify`, unless `meta` holds digits that a double would lose: then its text is taken as it came. */
function encode(body: NativeReplyBody, message: Message): string {
  if (!isPlainMeta(body.meta)) {
    const text = withoutMark(message.body.toString('utf8'))
    const meta = holdsLongNumber(text) ? memberText(text, 'meta') : undefined
    if (meta !== undefined) {
      const { meta: _, ...rest } = body
      return `${JSON.stringify(rest).slice(0, -1)},"meta":${meta}}`
    }
  }
  return JSON.stringify(body)
}

function isPlainMeta(meta: unknown): boolean {
  if (typeof meta !== 'object' || meta === null) return typeof meta !== 'string' || meta.length < 16
  for (const _ in meta) return false
  return true
}

interface Echo {
  readonly portal?: string
  readonly action?: NonNullable<NativeReplyBody['action']>
  readonly method?: string
  readonly meta: Json
}

/** What can be read of a message that is no command. */
function readableParts(message: Message, maxBodyBytes: number): Echo {
  try {
    const value = parseJson(readText(message, maxBodyBytes))
    if (!isJsonObject(value)) return { meta: {} }
    const { portal, action, method, meta } = value
    return {
      ...(typeof portal === 'string' ? { portal } : {}),
      ...(action === 'call' || action === 'list' || action === 'batch' ? { action } : {}),
      ...(typeof method === 'string' ? { method } : {}),
      meta: meta ?? {},
    }
  } catch {
    return { meta: {} }
  }
}
