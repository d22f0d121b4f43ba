import type { Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { BatchChunk, BatchResult, CallResult, ListResult, Outcome } from '../../model/outcome.ts'
import { jsonMembers } from '../../util/json-members.ts'
import { type Bitrix24BridgeRules, DEFAULT_SELECT, isFalsy, resolveAction } from './bitrix24-bridge-words.ts'
import type { ReplyContext } from './contract.ts'
import { compactJson, parseJson, readText } from './json-text.ts'

/** One element of `result`: the eight keys of the older program are written around these JSON texts. */
interface Element {
  readonly result: string
  readonly status: number
  readonly next?: Json | undefined
  readonly total?: Json | undefined
  /** Keys behind the eight, for what the older program lost. Not written in strict mode. */
  readonly extra?: Readonly<Record<string, Json>>
}

/** What a reply repeats of the command, as JSON texts. */
interface Echo {
  readonly entity: string
  readonly action: string
  readonly method: string
  readonly params: string
  readonly meta: string
}

/**
 * The reply of the contract bitrix24-bridge: one element a request for calls and batches, one for a whole list.
 * Parameters and meta are repeated with their own digits and order. Never throws.
 */
export function bitrix24BridgeReply(
  message: Message,
  command: Command | undefined,
  outcome: Outcome,
  context: ReplyContext,
  rules: Bitrix24BridgeRules,
): Message {
  const echo = readEcho(message, rules.maxBodyBytes)
  const elements = elementsOf(command, outcome, rules).map((element) => writeElement(echo, element, rules))
  const result = !rules.many && elements.length === 1 ? elements[0] : `[${elements.join(',')}]`
  const correlationId = message.correlationId ?? message.messageId
  return {
    body: Buffer.from(`{"entity":${JSON.stringify(echo.entity)},"result":${result}}`),
    headers: {
      'x-b24-outcome': outcome.kind,
      'x-b24-attempts': outcome.attempts,
      ...(outcome.failure === undefined ? {} : { 'x-b24-error': outcome.failure.code }),
    },
    messageId: context.newId,
    ...(correlationId === undefined ? {} : { correlationId }),
    contentType: 'application/json',
    timestamp: Math.floor(context.now / 1000),
    appId: 'bitrix24-bridge',
    persistent: true,
  }
}

function writeElement(echo: Echo, element: Element, rules: Bitrix24BridgeRules): string {
  const extra = rules.strict || element.extra === undefined ? '' : JSON.stringify(element.extra).slice(1, -1)
  return (
    `{"action":${echo.action},"method":${echo.method},"params":${echo.params},"result":${element.result},` +
    `"status_code":${element.status},"next":${JSON.stringify(element.next ?? null)},` +
    `"total":${JSON.stringify(element.total ?? null)},"meta":${echo.meta}${extra === '' ? '' : `,${extra}`}}`
  )
}

function elementsOf(command: Command | undefined, outcome: Outcome, rules: Bitrix24BridgeRules): Element[] {
  const { result } = outcome
  if (result?.action === 'call') {
    return [command?.action === 'list' ? firstPageFailed(result, outcome) : callElement(result)]
  }
  if (result?.action === 'list') return [listElement(result, outcome, rules)]
  if (result?.action === 'batch') return batchElements(command, result, outcome)
  return [errorElement(outcome)]
}

function callElement({ answer }: CallResult): Element {
  const { body } = answer
  const result = `[${answer.raw ?? JSON.stringify(body)}]`
  return { result, status: answer.status, next: body.next, total: body.total }
}

/** A list whose first call the portal refused: the older program gave no rows and the status; the reason is ours. */
function firstPageFailed({ answer }: CallResult, outcome: Outcome): Element {
  return { result: '[]', status: answer.status, extra: failureExtra(outcome) }
}

/** What stands behind the eight keys when something went wrong: the reason and the outcome; nothing otherwise. */
function failureExtra({ failure, kind }: Outcome): Record<string, Json> {
  return {
    ...(failure === undefined ? {} : { error: { code: failure.code, description: failure.description } }),
    ...(kind === 'done' ? {} : { outcome: kind }),
  }
}

function listElement(result: ListResult, outcome: Outcome, rules: Bitrix24BridgeRules): Element {
  const only = result.rows.length === 1 ? result.rows[0] : undefined
  const lent =
    rules.strict && only !== undefined ? { next: only.next, total: result.total || only.total } : {}
  const extra: Record<string, Json> = {}
  if (result.missing.length > 0) {
    extra.errors = result.missing.map(({ page, code, description }) => ({ page, code, description }))
  }
  Object.assign(extra, failureExtra(outcome))
  return {
    result: JSON.stringify(result.rows),
    status: result.status,
    total: result.total,
    ...lent,
    extra,
  }
}

/**
 * A request a chunk. A request that brought nothing but a failure shows as that failure, and so do commands that no
 * request carried because an earlier one went wrong.
 */
function batchElements(command: Command | undefined, result: BatchResult, outcome: Outcome): Element[] {
  const lost = outcome.kind === 'failed' && outcome.failure !== undefined
  const elements = result.chunks.map((chunk): Element => {
    if (lost && Object.keys(chunk.body.result.result).length === 0) return errorElement(outcome)
    const unsure = outcome.kind === 'unknown' ? { extra: failureExtra(outcome) } : {}
    return { result: `[${batchBody(chunk)}]`, status: chunk.status, ...unsure }
  })
  const sent = result.chunks.reduce((sum, chunk) => sum + chunk.names.length, 0)
  const wanted = command?.action === 'batch' ? command.entries.length : sent
  const halted = command?.action === 'batch' && command.halt && result.chunks.some(hasErrors)
  return sent < wanted && !halted && outcome.failure !== undefined
    ? [...elements, errorElement(outcome)]
    : elements
}

function hasErrors(chunk: BatchChunk): boolean {
  return Object.keys(chunk.body.result.result_error).length > 0
}

/** The batch answer as PHP writes it, which is what the older program passed on. */
function batchBody(chunk: BatchChunk): string {
  const sections = Object.entries(chunk.body.result).map(
    ([section, map]) => `${JSON.stringify(section)}:${phpArray(chunk.names, map)}`,
  )
  const { time } = chunk.body
  return `{"result":{${sections.join(',')}}${time === undefined ? '' : `,"time":${JSON.stringify(time)}`}}`
}

/**
 * A PHP array as JSON: `[]` when empty, a list when the names are 0, 1, 2 … in this order, else an object whose
 * members stand in the order of execution.
 */
function phpArray(names: readonly string[], map: JsonObject): string {
  const held = names.filter((name) => Object.hasOwn(map, name))
  const values = held.map((name) => JSON.stringify(map[name]))
  if (held.every((name, index) => name === String(index))) return `[${values.join(',')}]`
  return `{${held.map((name, index) => `${JSON.stringify(name)}:${values[index]}`).join(',')}}`
}

/** Failures of an answer that was no JSON object. The older program read such an answer as `{}`. */
const NO_JSON = /^(?:UNEXPECTED_ANSWER|HTTP_\d+)$/

/** What the sender gets where the older program sent nothing. */
function errorElement(outcome: Outcome): Element {
  const code = outcome.failure?.code ?? 'ERROR'
  const description = outcome.failure?.description ?? 'No reason is known.'
  const kind = outcome.kind === 'unknown' ? 'unknown' : 'failed'
  if (NO_JSON.test(code)) {
    return { result: '[{}]', status: outcome.status, extra: { error: { code, description }, outcome: kind } }
  }
  const result = JSON.stringify([{ error: code, error_description: description }])
  return { result, status: outcome.status, extra: { outcome: kind } }
}

/** Repeats what can be read of the command; of a message that is none, the defaults. */
function readEcho(message: Message, maxBodyBytes: number): Echo {
  try {
    const text = readText(message, maxBodyBytes)
    const value = parseJson(text)
    if (isJsonObject(value)) return echoOf(value, text)
  } catch {
    // Not a command; the failure in the outcome says why.
  }
  return { entity: 'default', action: '"default"', method: 'null', params: '{}', meta: '{}' }
}

function echoOf(value: JsonObject, text: string): Echo {
  const members = new Map(jsonMembers(text).map(({ name, start, end }) => [name, text.slice(start, end)]))
  const { method, params, meta } = value
  const action = resolveAction(value.action)
  return {
    entity: typeof method === 'string' ? method.slice(0, cutAt(method)) : 'default',
    action: JSON.stringify(action),
    method: JSON.stringify(method ?? null),
    params: echoParams(isFalsy(params) ? '{}' : (members.get('params') ?? '{}'), action),
    meta: isFalsy(meta) ? '{}' : compactJson(members.get('meta') ?? '{}'),
  }
}

/** `crm.product.list` belongs to `crm.product`; a method without a dot is its own entity. */
function cutAt(method: string): number {
  const dot = method.lastIndexOf('.')
  return dot < 0 ? method.length : dot
}

/** The parameters after the action had its way with them: `list` takes `start` and gives `select`, `batch` takes `cmd`. */
function echoParams(text: string, action: ReturnType<typeof resolveAction>): string {
  const members = jsonMembers(text)
  if (action === 'default' || (members.length === 0 && text !== '{}')) return compactJson(text)
  const taken = action === 'list' ? 'start' : 'cmd'
  const kept = members
    .filter(({ name }) => name !== taken)
    .map(({ name, start, end }) => `${JSON.stringify(name)}:${compactJson(text.slice(start, end))}`)
  if (action === 'list' && !members.some(({ name }) => name === 'select')) {
    kept.push(`"select":${JSON.stringify(DEFAULT_SELECT)}`)
  }
  return `{${kept.join(',')}}`
}
