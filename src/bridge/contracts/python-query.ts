import type { Json, JsonObject } from '../../model/json.ts'

/**
 * Parameters as the older program bitrix24-bridge wrote them into a batch, kept for its strict mode only: nothing is
 * percent-encoded, `True`, `False` and `None` stand literally, an empty list or object leaves an empty segment, and
 * the first element of a top-level list loses its index. `{ a: [true, null], b: {} }` gives `a[0]=True&a[1]=None&`.
 */
export function pythonQuery(params: JsonObject | readonly Json[]): string {
  return walk(params, '')
}

function walk(value: Json, path: string): string {
  if (typeof value !== 'object' || value === null)
    return path === '' ? literal(value) : `${path}=${literal(value)}`
  if (Array.isArray(value)) {
    // Index 0 counts as "no path yet" at the top, because 0 is false in Python.
    return value
      .map((item, i) => walk(item, path === '' ? (i === 0 ? '' : String(i)) : `${path}[${i}]`))
      .join('&')
  }
  return Object.entries(value)
    .map(([key, item]) => walk(item as Json, path === '' ? key : `${path}[${key}]`))
    .join('&')
}

function literal(value: null | boolean | number | string): string {
  if (value === null) return 'None'
  if (value === true) return 'True'
  return value === false ? 'False' : String(value)
}
