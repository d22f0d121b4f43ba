import type { Json, JsonObject } from '../../model/json.ts'

/**
 * Parameters as the query text that a batch command carries, PHP-style: `fields[PHONE][0][VALUE]=1`. Values are
 * percent-encoded once. `true` and `false` become `1` and `0`, `null` becomes an empty value (which clears a field).
 *
 * Gives `undefined` when query text cannot say it: an empty array or object anywhere but directly under the
 * top-level names `filter`, `order` and `select` (where leaving it out means the same), or an array of positions.
 * Such a call travels alone, as JSON.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
 */
export function encodeQuery(params: JsonObject | readonly Json[]): string | undefined {
  if (Array.isArray(params)) return params.length === 0 ? '' : undefined
  const out: string[] = []
  for (const [name, value] of Object.entries(params)) {
    if (isEmptyContainer(value)) {
      if (!OPTIONAL_WHEN_EMPTY.has(name.toLowerCase())) return undefined
      continue
    }
    if (!append(out, percent(name), value)) return undefined
  }
  return out.join('&')
}

const OPTIONAL_WHEN_EMPTY = new Set(['filter', 'order', 'select'])

function append(out: string[], name: string, value: Json): boolean {
  if (typeof value === 'string') out.push(`${name}=${percent(value)}`)
  else if (typeof value === 'number') out.push(`${name}=${percent(String(value))}`)
  else if (typeof value === 'boolean') out.push(`${name}=${value ? 1 : 0}`)
  else if (value === null) out.push(`${name}=`)
  else if (Array.isArray(value)) {
    if (value.length === 0) return false
    for (let i = 0; i < value.length; i++) {
      if (!append(out, `${name}[${i}]`, value[i] as Json)) return false
    }
  } else {
    const members = Object.entries(value)
    if (members.length === 0) return false
    for (const [key, member] of members) {
      if (!append(out, `${name}[${percent(key)}]`, member as Json)) return false
    }
  }
  return true
}

function isEmptyContainer(value: Json): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Array.isArray(value) ? value.length === 0 : Object.keys(value).length === 0
}

/** Most names and ids need no escaping; asking first is several times faster than escaping always. */
const PLAIN = /^[\w.~-]*$/

function percent(text: string): string {
  if (PLAIN.test(text)) return text
  try {
    return encodeURIComponent(text)
  } catch {
    // A lone surrogate cannot be written in UTF-8; it becomes the replacement character.
    return encodeURIComponent(Buffer.from(text, 'utf8').toString('utf8'))
  }
}

/**
 * Anything that the portal takes for a reference, written plainly or percent-encoded. It needs no bracket: a value
 * that is just `$result`, or `$timeless`, becomes the whole map of that name.
 */
const REFERENCE = /(?:\$|%24)(?:result|total|next|time|error)/i

/**
 * True when the text would make the portal insert another command's answer: such a call may not share a batch with
 * strangers, or it could read their results.
 */
export function holdsReference(text: string): boolean {
  return REFERENCE.test(text)
}

/**
 * Finds each `$result[name]` (also `$total`, `$next`, `$time`, `$error`; plain or percent-encoded) and puts what
 * `rename` gives in the place of `name`. With encoded brackets `name` is decoded first.
 */
export function renameReferences(text: string, rename: (name: string) => string): string {
  return text
    .replace(PLAIN_REFERENCE, (_, head: string, name: string) => `${head}${rename(name)}]`)
    .replace(ENCODED_REFERENCE, (_, head: string, name: string) => `${head}${rename(decodeLoosely(name))}%5D`)
}

const PLAIN_REFERENCE = /((?:\$|%24)(?:result|total|next|time|error)\[)([^\]]{0,255})\]/gi
const ENCODED_REFERENCE = /((?:\$|%24)(?:result|total|next|time|error)%5B)((?:(?!%5D).){0,255})%5D/gi

function decodeLoosely(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** One command of a batch request, ready to be written. */
export interface BatchLine {
  readonly key: string
  readonly method: string
  readonly query: string
}

/**
 * The JSON body of a `batch` request. Keys must be unique and not look like numbers, or JSON objects would reorder
 * them; order of lines is the order of execution. `params` go beside the commands.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function encodeBatch(
  lines: readonly BatchLine[],
  halt: boolean,
  params: Readonly<Record<string, string>> = {},
): string {
  const cmd: Record<string, string> = {}
  for (const line of lines) cmd[line.key] = line.query === '' ? line.method : `${line.method}?${line.query}`
  return JSON.stringify({ halt: halt ? 1 : 0, cmd, ...params })
}
