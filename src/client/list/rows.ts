import type { CallAnswer } from '../../model/call.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** The rows of one answer, and the property of `result` that held them (`null`: `result` itself). */
export interface FoundRows {
  readonly rows: readonly JsonObject[]
  readonly wrapper: string | null
}

/**
 * Finds the rows in the `result` of a list. With `wrapper` it looks there first. Otherwise: an array is the rows; in
 * an object the first property that is an array holds them, or the first one that is an object keyed by numbers.
 * Nothing that looks like rows gives an empty list: PHP writes an empty wrapper as `[]`.
 *
 * The few methods that list bare numbers or words (`placement.list`) give these as rows, as they are.
 */
export function rowsOf(result: Json | undefined, wrapper?: string | null): FoundRows {
  if (Array.isArray(result)) return { rows: result as JsonObject[], wrapper: null }
  if (!isJsonObject(result)) return { rows: [], wrapper: null }
  if (typeof wrapper === 'string') {
    const rows = asRows(result[wrapper])
    if (rows !== undefined) return { rows, wrapper }
  }
  const entries = Object.entries(result)
  if (isKeyedByNumbers(result)) return { rows: Object.values(result) as JsonObject[], wrapper: null }
  const found =
    entries.find(([, value]) => Array.isArray(value)) ?? entries.find(([, value]) => isKeyedByNumbers(value))
  if (found === undefined) return { rows: [], wrapper: null }
  return { rows: asRows(found[1]) ?? [], wrapper: found[0] }
}

/** A page of a list as the portal answered it. */
export interface AnsweredPage extends FoundRows {
  /** What the portal counted, when it did. */
  readonly total: number | undefined
  /** `start` of the page behind this one; `undefined` on the last. */
  readonly next: number | undefined
  /** Seconds that the portal worked on it, 0 when it does not say. */
  readonly seconds: number
}

/** Reads rows, `total`, `next` and `time.duration` of an answer without an error. */
export function readPage(answer: CallAnswer, wrapper?: string | null): AnsweredPage {
  const { result, total, next, time } = answer.body
  const duration = isJsonObject(time) ? time.duration : undefined
  return {
    ...rowsOf(result, wrapper),
    total: wholeNumber(total),
    next: wholeNumber(next),
    seconds: typeof duration === 'number' ? duration : 0,
  }
}

/** The id of a row as text: `"35"` and `35` are the same; `undefined` when the row has none. */
export function rowId(row: Json, field: string | null): string | undefined {
  if (field === null || !isJsonObject(row)) return undefined
  const id = row[field]
  if (typeof id === 'number') return String(id)
  return typeof id === 'string' && id !== '' ? id : undefined
}

/** True for what can be an id to walk by: a whole number without sign or leading zeros, of any length. */
export function isNumericId(id: string | undefined): id is string {
  return id !== undefined && /^(?:0|[1-9]\d*)$/.test(id)
}

/** True when `left` is a smaller id than `right`; both numeric. */
export function idBelow(left: string, right: string): boolean {
  return left.length === right.length ? left < right : left.length < right.length
}

function asRows(value: Json | undefined): readonly JsonObject[] | undefined {
  if (Array.isArray(value)) return value as JsonObject[]
  return isJsonObject(value) ? (Object.values(value) as JsonObject[]) : undefined
}

function isKeyedByNumbers(value: Json): boolean {
  if (!isJsonObject(value)) return false
  const keys = Object.keys(value)
  return keys.length > 0 && keys.every((key) => /^\d+$/.test(key))
}

function wholeNumber(value: Json | undefined): number | undefined {
  const number = typeof value === 'string' && value !== '' ? Number(value) : value
  return typeof number === 'number' && Number.isInteger(number) ? number : undefined
}
