import type { Json, JsonObject } from '../model/json.ts'
import { type PhpArray, phpToJson } from './php.ts'

/** What earlier commands of a batch left behind, section by section; what `$result[…]` and its kin read. */
export type Sections = Readonly<Record<'result' | 'error' | 'total' | 'next' | 'time', Map<string, Json>>>

/**
 * The parameters of a command with its references replaced.
 *
 * A value that is nothing but a reference takes over what it points at, type included. Inside a longer text only
 * strings and numbers are put in; the reference reaches to the next blank. A path that leads nowhere stops at the
 * deepest level that exists, so that an unknown name gives the whole map of earlier results.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function resolveParams(fields: PhpArray, sections: Sections): Record<string, Json> {
  const made: Record<string, Json> = {}
  for (const [name, value] of fields) made[name] = resolve(phpToJson(value), sections)
  return made
}

function resolve(value: Json, sections: Sections): Json {
  if (typeof value === 'string') return value.includes('$') ? substitute(value, sections) : value
  if (Array.isArray(value)) return value.map((item: Json) => resolve(item, sections))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, sections)]))
}

const REFERENCE = /\$(result|error|total|next|time)\S*/g

function substitute(text: string, sections: Sections): Json {
  const first = text.match(REFERENCE)?.[0]
  if (first === undefined) return text
  if (first === text) return lookUp(text, sections)
  return text.replace(REFERENCE, (reference) => {
    const found = lookUp(reference, sections)
    return typeof found === 'string' || typeof found === 'number' ? String(found) : reference
  })
}

function lookUp(reference: string, sections: Sections): Json {
  const section = /^\$(result|error|total|next|time)/.exec(reference)?.[1] as keyof Sections
  let value: Json = Object.fromEntries(sections[section])
  for (const part of reference.matchAll(/\[([^\]]*)\]/g)) {
    const deeper = step(value, part[1] ?? '')
    if (deeper === undefined) break
    value = deeper
  }
  return value
}

/** One level down; a string is a row of letters, as in PHP. */
function step(value: Json, key: string): Json | undefined {
  if (typeof value === 'string') return /^\d+$/.test(key) ? value[Number(key)] : undefined
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
  return (value as JsonObject)[key]
}
