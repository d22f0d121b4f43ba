import type { BatchEntry } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { isSoloMethod } from '../../model/methods.ts'
import type { LaneCall } from '../lane/work.ts'
import { encodeQuery, holdsReference, renameReferences } from './encode.ts'

/** One request of an explicit batch; the calls stand in the order of `names`. */
export interface BatchGroup {
  readonly names: readonly string[]
  readonly calls: readonly LaneCall[]
  /** Shares its request with nobody, because it holds references or halts. */
  readonly isolated: boolean
}

/** Commands of one batch at most. https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html */
const GROUP_SIZE = 50

/**
 * Cuts the entries of an explicit batch into groups of 50, in order. Names may be anything; where a group holds
 * `$result[name]` references, its calls get safe keys and the references are rewritten to match.
 *
 * Throws a `CommandError` `REFERENCE_UNKNOWN` for a reference to a name that no earlier entry of the same group has:
 * the portal would put something else in its place without a word.
 */
export function planGroups(entries: readonly BatchEntry[], halt: boolean): BatchGroup[] {
  const groups: BatchGroup[] = []
  for (let from = 0; from < entries.length; from += GROUP_SIZE) {
    const slice = entries.slice(from, from + GROUP_SIZE)
    const referring = slice.some(({ params }) => mentions(params))
    if (referring || halt) groups.push(isolatedGroup(slice))
    else groups.push({ names: slice.map(({ name }) => name), calls: slice.map(plainCall), isolated: false })
  }
  return groups
}

/** True for a call that can be part of a batch beside others. */
export function isBatchable(call: LaneCall): boolean {
  if (isSoloMethod(call.method)) return false
  return typeof call.params === 'string' || encodeQuery(call.params) !== undefined
}

function plainCall({ method, params }: BatchEntry): LaneCall {
  return { method, params }
}

function isolatedGroup(entries: readonly BatchEntry[]): BatchGroup {
  const keys = new Map<string, string>()
  const calls = entries.map(({ name, method, params }, i): LaneCall => {
    const rename = (other: string): string => {
      const key = keys.get(other)
      if (key === undefined) throw unknownReference(name, other)
      return key
    }
    const rewritten = mentions(params) ? rewrite(params, rename) : params
    keys.set(name, `c${i}`)
    return { name: `c${i}`, method, params: rewritten as LaneCall['params'] }
  })
  return { names: entries.map(({ name }) => name), calls, isolated: true }
}

function mentions(value: Json | string): boolean {
  if (typeof value === 'string') return holdsReference(value)
  if (typeof value !== 'object' || value === null) return false
  return (Object.values(value) as Json[]).some(mentions)
}

function rewrite(value: Json, rename: (name: string) => string): Json {
  if (typeof value === 'string') return renameReferences(value, rename)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item) => rewrite(item as Json, rename))
  return Object.fromEntries(
    Object.entries(value as JsonObject).map(([key, item]) => [key, rewrite(item, rename)]),
  )
}

function unknownReference(from: string, to: string): CommandError {
  return new CommandError(
    'REFERENCE_UNKNOWN',
    `Command "${from}" refers to "${to}", which is not an earlier command of the same 50`,
    {
      hint: 'Put both into the same run of 50 commands, the one that is referred to first.',
    },
  )
}
