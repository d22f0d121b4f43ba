import type { Json } from '../model/json.ts'
import { errorBody, RestFault, systemFault } from './errors.ts'
import { type Answer, type Call, EncodedJson, type Method } from './method.ts'
import { perform } from './perform.ts'
import { encodePhpMap, parseQuery, urlDecode } from './php.ts'
import { resolveParams, type Sections } from './references.ts'
import { isErrorResult } from './respond.ts'

/** Commands that one batch carries out; the others are refused one by one. */
const BATCH_LIMIT = 50

/**
 * `batch`: runs commands one after another in the order received, each with its own result, error, total, next and
 * time. With `halt` the first failure ends it, and later commands appear nowhere. Commands that are no text are
 * skipped, but count.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export const BATCH: Method = { scopes: [], solo: true, run: runBatch }

function runBatch(call: Call): Answer {
  const halt = isTruthy(call.params.halt ?? call.params.HALT ?? call.params.Halt)
  const parts = createParts()
  let position = 0
  for (const [key, command] of call.commands()) {
    position += 1
    if (typeof command !== 'string') continue
    try {
      if (position > BATCH_LIMIT) throw exceeded(call)
      runCommand(call, key, command, parts)
    } catch (error) {
      if (!(error instanceof RestFault)) throw error
      addError(parts, key, errorBody(error, call.portal.settings.switches.emptyDescriptions))
    }
    if (halt && parts.text.error.size > 0) break
  }
  return { result: new EncodedJson(encodeParts(parts)) }
}

/** Each section twice: as values for references, as JSON text for the answer. */
interface Parts {
  readonly values: Sections
  readonly text: Record<keyof Sections, Map<string, string>>
}

function createParts(): Parts {
  const section = <T>() => new Map<string, T>()
  return {
    values: { result: section(), error: section(), total: section(), next: section(), time: section() },
    text: { result: section(), error: section(), total: section(), next: section(), time: section() },
  }
}

function runCommand(call: Call, key: string, command: string, parts: Parts): void {
  const { exchange } = call
  const { name, query } = splitCommand(command)
  const named = exchange.findMethod(name)
  if (named === undefined) {
    call.portal.tally.refuse('ERROR_METHOD_NOT_FOUND')
    throw systemFault('ERROR_METHOD_NOT_FOUND')
  }
  const fields = parseQuery(query)
  fields.delete('auth')
  const connector =
    call.portal.settings.switches.connectorInBatch === 'followed' && fields.get('auth_connector')
  fields.delete('auth_connector')
  const params = resolveParams(fields, parts.values)
  const positional = () => Array.from(fields.keys(), (field) => params[field] ?? null)
  const inner: Call = {
    ...call,
    params,
    positional,
    commands: () => new Map(),
    ...(typeof connector === 'string' && { connector }),
  }
  const { answer, time } = perform(exchange, named, inner, true)
  const result = answer.result as Json
  if (isErrorResult(result)) {
    addError(parts, key, result)
    return
  }
  add(parts, 'result', key, result)
  if (answer.total !== undefined) add(parts, 'total', key, answer.total)
  if (answer.next !== undefined) add(parts, 'next', key, answer.next)
  add(parts, 'time', key, time as unknown as Json)
}

/** `method?query#lost`, split the way PHP's `parse_url` does. */
function splitCommand(command: string): { name: string; query: string } {
  const hash = command.indexOf('#')
  const kept = hash < 0 ? command : command.slice(0, hash)
  const mark = kept.indexOf('?')
  if (mark < 0) return { name: urlDecode(kept), query: '' }
  return { name: kept.slice(0, mark), query: kept.slice(mark + 1) }
}

function exceeded(call: Call): RestFault {
  call.portal.tally.refuse('ERROR_BATCH_LENGTH_EXCEEDED')
  return systemFault('ERROR_BATCH_LENGTH_EXCEEDED')
}

function addError(parts: Parts, key: string, body: Record<string, Json>): void {
  add(parts, 'error', key, body)
}

function add(parts: Parts, section: keyof Sections, key: string, value: Json): void {
  parts.values[section].set(key, value)
  parts.text[section].set(key, JSON.stringify(value))
}

function encodeParts({ text }: Parts): string {
  const sections = [
    `"result":${encodePhpMap(text.result)}`,
    `"result_error":${encodePhpMap(text.error)}`,
    `"result_total":${encodePhpMap(text.total)}`,
    `"result_next":${encodePhpMap(text.next)}`,
    `"result_time":${encodePhpMap(text.time)}`,
  ]
  return `{${sections.join(',')}}`
}

/** PHP's idea of true: any text but `""` and `"0"`, so `"false"` too. */
function isTruthy(value: Json | undefined): boolean {
  if (Array.isArray(value)) return value.length > 0
  return Boolean(value) && value !== '0'
}
