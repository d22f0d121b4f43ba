import type { Json } from '../model/json.ts'

/** A PHP array as it came in: ordered, with the index that `name[]` would take next. */
export class PhpArray extends Map<string, PhpValue> {
  nextIndex = 0
}

export type PhpValue = string | PhpArray

/**
 * Reads a query string the way PHP does: `+` is a space, brackets nest, `a[]` appends, dots and spaces in top-level
 * names become `_`, the later of two equal names wins, all values are strings. Order is kept, integer names included.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/data-encoding.html
 */
export function parseQuery(query: string): PhpArray {
  const root = new PhpArray()
  if (query === '') return root
  for (const pair of query.split('&')) {
    if (pair === '') continue
    const equals = pair.indexOf('=')
    const name = urlDecode(equals < 0 ? pair : pair.slice(0, equals))
    setField(root, name, equals < 0 ? '' : urlDecode(pair.slice(equals + 1)))
  }
  return root
}

/** Puts one form field into `root`, following the brackets of its name. A name that is empty is dropped. */
export function setField(root: PhpArray, rawName: string, value: string): void {
  const name = rawName.trimStart()
  const bracket = name.indexOf('[')
  if (bracket === 0) return
  if (bracket < 0) {
    put(root, name.replace(/[. ]/g, '_'), value)
    return
  }
  let target = root
  let key = name.slice(0, bracket).replace(/[. ]/g, '_')
  for (const part of name.slice(bracket).matchAll(/\[([^\]]*)\]/g)) {
    target = child(target, key)
    key = part[1] === '' ? String(target.nextIndex) : (part[1] ?? '')
  }
  put(target, key, value)
}

function child(parent: PhpArray, key: string): PhpArray {
  const known = parent.get(key)
  if (known instanceof PhpArray) return known
  const made = new PhpArray()
  put(parent, key, made)
  return made
}

function put(target: PhpArray, key: string, value: PhpValue): void {
  if (key === '') return
  target.set(key, value)
  const index = /^(0|[1-9]\d*)$/.test(key) ? Number(key) : -1
  if (index >= target.nextIndex) target.nextIndex = index + 1
}

/** PHP's `urldecode`: percent signs that begin nothing stay as they are. */
export function urlDecode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return spaced.replace(/(%[0-9a-f]{2})+/gi, (run) =>
      Buffer.from(run.replaceAll('%', ''), 'hex').toString(),
    )
  }
}

/** The value as JSON has it: keys 0…n-1 in order make a list (an empty array too), anything else an object. */
export function phpToJson(value: PhpValue): Json {
  if (typeof value === 'string') return value
  if (isList(value.keys())) return Array.from(value.values(), phpToJson)
  const made: Record<string, Json> = {}
  for (const [key, item] of value) made[key] = phpToJson(item)
  return made
}

/**
 * JSON text of a PHP array whose values are JSON texts already. Empty gives `[]`, keys 0…n-1 in order a list,
 * anything else an object in the order given.
 */
export function encodePhpMap(entries: ReadonlyMap<string, string>): string {
  if (isList(entries.keys())) return `[${Array.from(entries.values()).join(',')}]`
  let text = ''
  for (const [key, value] of entries) text += `${text === '' ? '' : ','}${JSON.stringify(key)}:${value}`
  return `{${text}}`
}

function isList(keys: Iterable<string>): boolean {
  let index = 0
  for (const key of keys) if (key !== String(index++)) return false
  return true
}
