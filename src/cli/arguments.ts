import { CommandError } from '../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../model/json.ts'

/** A value under construction: objects and lists keep what comes in order. */
type Node = Json | Map<string, Node>

/**
 * Reads parameters as people type them: `id=7`, `filter[>ID]=5`, `select[]=ID select[]=TITLE`,
 * `fields[PHONE][0][VALUE]=1`. `=` gives text; `:=` gives JSON (`id:=7`, `select:=["ID","TITLE"]`). The sign that
 * separates is the first one outside brackets, so `filter[>=DATE]=2026-01-01` is what it looks like.
 *
 * With `base` the arguments are laid over it, level by level. A later argument wins over an earlier one; `[]` always
 * appends. Keys `0…n−1` of one level make a list. Throws `CommandError` `ARGUMENT_INVALID` for an argument without a
 * sign, with unbalanced brackets, or with JSON that is none.
 */
export function parseKeyValues(args: readonly string[], base: JsonObject = {}): JsonObject {
  const root = toNode(base) as Map<string, Node>
  for (const argument of args) {
    const { path, value } = parseArgument(argument)
    place(root, path, value)
  }
  return toObject(root)
}

/** Reads the text of `--params`: a JSON object. Throws `CommandError` `ARGUMENT_INVALID` for anything else. */
export function parseParams(text: string): JsonObject {
  const value = parseJson(text, '--params')
  if (isJsonObject(value)) return value
  throw invalid(
    '--params is not a JSON object',
    'Write it like --params \'{"filter": {"STAGE_ID": "NEW"}}\'.',
  )
}

function parseArgument(argument: string): { readonly path: readonly string[]; readonly value: Json } {
  const at = separator(argument)
  if (at <= 0) {
    const shown = argument.length > 40 ? `${argument.slice(0, 40)}…` : argument
    throw invalid(
      `\`${shown}\` is no key=value`,
      'Write name=value, filter[>ID]=5, select[]=ID or name:=JSON.',
    )
  }
  const isJson = argument[at] === ':'
  const key = argument.slice(0, at)
  const text = argument.slice(at + (isJson ? 2 : 1))
  return { path: parsePath(key), value: isJson ? parseJson(text, key) : text }
}

/** Index of the first `=` or `:=` outside brackets; -1 without one. */
function separator(argument: string): number {
  let depth = 0
  for (let at = 0; at < argument.length; at++) {
    const character = argument[at]
    if (character === '[') depth++
    else if (character === ']') depth--
    else if (depth === 0 && character === '=') return at
    else if (depth === 0 && character === ':' && argument[at + 1] === '=') return at
  }
  return -1
}

function parsePath(key: string): string[] {
  const match = /^([^[\]]+)((?:\[[^[\]]*\])*)$/.exec(key)
  if (match === null) throw invalid(`\`${key}\` has brackets that do not match`)
  return [match[1] ?? '', ...[...(match[2] ?? '').matchAll(/\[([^[\]]*)\]/g)].map(([, name]) => name ?? '')]
}

function place(root: Map<string, Node>, path: readonly string[], value: Json): void {
  let at = root
  for (const [depth, name] of path.entries()) {
    const key = name === '' ? String(at.size) : name
    if (depth === path.length - 1) {
      at.set(key, toNode(value))
      return
    }
    const inner = at.get(key)
    const next = inner instanceof Map ? inner : new Map<string, Node>()
    if (next !== inner) at.set(key, next)
    at = next
  }
}

function toNode(value: Json): Node {
  if (typeof value !== 'object' || value === null) return value
  if (Object.keys(value).length === 0 && Array.isArray(value)) return value
  return new Map(Object.entries(value).map(([key, inner]) => [key, toNode(inner as Json)]))
}

function fromNode(node: Node): Json {
  if (!(node instanceof Map)) return node
  const keys = [...node.keys()]
  const isList = keys.length > 0 && keys.every((key, index) => key === String(index))
  return isList ? [...node.values()].map(fromNode) : toObject(node)
}

function toObject(node: ReadonlyMap<string, Node>): JsonObject {
  return Object.fromEntries([...node].map(([key, inner]) => [key, fromNode(inner)]))
}

function parseJson(text: string, where: string): Json {
  try {
    return JSON.parse(text) as Json
  } catch (cause) {
    throw invalid(`The value of ${where} is not JSON`, 'Text in JSON stands in double quotes.', cause)
  }
}

function invalid(message: string, hint?: string, cause?: unknown): CommandError {
  return new CommandError('ARGUMENT_INVALID', `${message}.`, { ...(hint && { hint }), cause })
}
