import type { Json, JsonObject } from '../../model/json.ts'
import { refuseEvent } from './refusals.ts'

/** Fields of a form at most; a bot's message has some eighty. */
const MOST_FIELDS = 10_000
/** Brackets behind one name at most; an open line's message has seven. */
const DEEPEST = 20
/** Keys that mean something to JavaScript objects; no portal sends them. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype'])

/** A level while the form is read; numbers in brackets may turn out to be a list or a map. */
class Branch extends Map<string, string | Branch> {
  /** The number that `[]` takes. */
  next = 0

  override set(key: string, node: string | Branch): this {
    if (/^\d{1,9}$/.test(key)) this.next = Math.max(this.next, Number(key) + 1)
    return super.set(key, node)
  }
}

/**
 * Reads a form with PHP's brackets, percent-encoded or not: `data[FIELDS][ID]=7`. Values are text, as they came; a
 * level whose keys are exactly 0, 1, 2 … is a list, any other a map. As in PHP the last one of several equal fields
 * counts, `a[]` takes the next number, and a bracket that is never closed is part of the name. What is not UTF-8
 * becomes U+FFFD and a broken percent sign stays as it is: an event is not lost for one strange letter.
 *
 * Throws `FORM_INVALID` for more than 10,000 fields, more than 20 brackets, or a key such as `__proto__`.
 */
export function parseForm(text: string): JsonObject {
  const root = new Branch()
  let fields = 0
  let end = -1
  for (let start = 0; start < text.length; start = end + 1) {
    end = text.indexOf('&', start)
    if (end < 0) end = text.length
    if (end === start) continue
    if (++fields > MOST_FIELDS) throw refuseEvent('FORM_INVALID')
    const pair = text.slice(start, end)
    const equals = pair.indexOf('=')
    const name = decode(equals < 0 ? pair : pair.slice(0, equals))
    if (name === '') continue
    put(root, pathOf(name), equals < 0 ? '' : decode(pair.slice(equals + 1)))
  }
  return mapOf(root)
}

/** The keys of a field's name: `a[b][c]` has three. Text behind the last bracket is left out, as in PHP. */
function pathOf(name: string): string[] {
  const first = name.indexOf('[')
  if (first <= 0) return [name]
  const path = [name.slice(0, first)]
  let open = first
  while (name[open] === '[') {
    const close = name.indexOf(']', open)
    if (close < 0) break
    if (path.length > DEEPEST) throw refuseEvent('FORM_INVALID')
    path.push(name.slice(open + 1, close))
    open = close + 1
  }
  return path.length === 1 ? [name] : path
}

function put(root: Branch, path: readonly string[], value: string): void {
  let branch = root
  const last = path.length - 1
  for (let at = 0; at <= last; at++) {
    const key = path[at] === '' && at > 0 ? String(branch.next) : (path[at] as string)
    if (FORBIDDEN.has(key)) throw refuseEvent('FORM_INVALID')
    if (at === last) {
      branch.set(key, value)
      return
    }
    const there = branch.get(key)
    const next = there instanceof Branch ? there : new Branch()
    if (next !== there) branch.set(key, next)
    branch = next
  }
}

function jsonOf(node: string | Branch): Json {
  if (typeof node === 'string') return node
  return isList(node)
    ? Array.from({ length: node.size }, (_, index) => jsonOf(node.get(String(index)) ?? ''))
    : mapOf(node)
}

function isList(branch: Branch): boolean {
  for (let index = 0; index < branch.size; index++) if (!branch.has(String(index))) return false
  return true
}

function mapOf(branch: Branch): JsonObject {
  const map: Record<string, Json> = {}
  for (const [key, node] of branch) map[key] = jsonOf(node)
  return map
}

function decode(text: string): string {
  const spaced = text.includes('+') ? text.replaceAll('+', ' ') : text
  if (!spaced.includes('%')) return spaced
  try {
    return decodeURIComponent(spaced)
  } catch {
    return decodeBytes(spaced)
  }
}

/** The slow way, for text that is not well-formed. */
function decodeBytes(text: string): string {
  return text.replaceAll(/(?:%[\da-f]{2})+/gi, (run) =>
    Buffer.from(run.replaceAll('%', ''), 'hex').toString('utf8'),
  )
}
