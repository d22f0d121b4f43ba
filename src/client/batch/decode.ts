import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { jsonElements, jsonMembers } from '../../util/json-members.ts'

/** The five maps of a batch answer, each always an object by key. */
export interface BatchMaps {
  readonly result: JsonObject
  readonly error: JsonObject
  readonly total: JsonObject
  readonly next: JsonObject
  readonly time: JsonObject
}

/**
 * Reads `result` of a batch answer. The portal writes an empty map as `[]` and a map whose keys happen to be 0…n−1
 * as an array; both are taken for maps. `undefined` when it is no batch answer at all.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function decodeBatch(body: JsonObject): BatchMaps | undefined {
  const maps = body.result
  if (!isJsonObject(maps) || !('result' in maps || 'result_error' in maps)) return undefined
  return {
    result: asMap(maps.result),
    error: asMap(maps.result_error),
    total: asMap(maps.result_total),
    next: asMap(maps.result_next),
    time: asMap(maps.result_time),
  }
}

function asMap(value: Json | undefined): JsonObject {
  if (isJsonObject(value)) return value
  if (!Array.isArray(value)) return {}
  return Object.fromEntries(value.map((item, index) => [String(index), item]))
}

/** What one key of a batch answer holds, in the shape of an answer to the same call alone. */
export function bodyOf(maps: BatchMaps, key: string): JsonObject | undefined {
  if (Object.hasOwn(maps.error, key)) {
    const error = maps.error[key]
    return isJsonObject(error) && 'error' in error ? error : { error: error ?? '', error_description: '' }
  }
  if (!Object.hasOwn(maps.result, key)) return undefined
  const body: Record<string, Json> = { result: maps.result[key] as Json }
  if (Object.hasOwn(maps.total, key)) body.total = maps.total[key] as Json
  if (Object.hasOwn(maps.next, key)) body.next = maps.next[key] as Json
  if (Object.hasOwn(maps.time, key)) body.time = maps.time[key] as Json
  return body
}

/**
 * Answers cut out of the text of a batch answer, by key, letter for letter as the portal wrote them: numbers keep
 * their digits and objects their order. Each is what the same call alone would have been answered.
 */
export function rawBodies(text: string): Map<string, string> {
  const bodies = new Map<string, string>()
  const outer = jsonMembers(text).find((member) => member.name === 'result')
  if (outer === undefined) return bodies
  const sections = new Map(jsonMembers(text, outer.start).map((member) => [member.name, member.start]))
  const section = (name: string): Map<string, string> => sliceMap(text, sections.get(name))
  const totals = section('result_total')
  const nexts = section('result_next')
  const times = section('result_time')
  for (const [key, value] of section('result')) {
    let body = `{"result":${value}`
    if (nexts.has(key)) body += `,"next":${nexts.get(key)}`
    if (totals.has(key)) body += `,"total":${totals.get(key)}`
    if (times.has(key)) body += `,"time":${times.get(key)}`
    bodies.set(key, `${body}}`)
  }
  for (const [key, value] of section('result_error')) bodies.set(key, value)
  return bodies
}

function sliceMap(text: string, from: number | undefined): Map<string, string> {
  if (from === undefined) return new Map()
  if (text.charCodeAt(from) === 91) {
    return new Map(jsonElements(text, from).map(({ start, end }, i) => [String(i), text.slice(start, end)]))
  }
  return new Map(jsonMembers(text, from).map(({ name, start, end }) => [name, text.slice(start, end)]))
}
