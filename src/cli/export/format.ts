import { stringify } from 'csv-stringify/sync'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'

/** The formats of an export. */
export const FORMATS = ['ndjson', 'csv', 'json'] as const
export type FormatName = (typeof FORMATS)[number]

/** Turns pages of rows into the text of one file, piece by piece. */
export interface Format {
  /** What stands in front of the first row. `page` is the first page; called once, not when resuming. */
  head(page: readonly JsonObject[]): string
  /** The text of a page whose first row is row number `index` (from 0) of the file. */
  rows(page: readonly JsonObject[], index: number): string
  /** What stands behind the last row. */
  tail(): string
  /** The columns of a CSV, once they are known; to be kept for a resumed export. */
  readonly columns?: readonly string[]
  /** Fields that appeared after the columns were fixed and are not in the file. */
  readonly leftOut: readonly string[]
}

/**
 * A format by name.
 *
 * - `ndjson`: one JSON object a line.
 * - `json`: one JSON array, a row a line.
 * - `csv`: RFC 4180 with a header. The columns are those of `select` when the rows have them all, otherwise every
 *   field of the first page; they do not change afterwards. Nested values are written as JSON, `null` as nothing.
 */
export function createFormat(
  name: FormatName,
  options: { readonly select?: Json | undefined; readonly columns?: readonly string[] | undefined } = {},
): Format {
  if (name === 'csv') return csv(options.select, options.columns)
  const array = name === 'json'
  return {
    head: () => (array ? '[' : ''),
    rows: (page, index) => {
      if (!array) return page.map((row) => `${JSON.stringify(row)}\n`).join('')
      return page.map((row, at) => `${index + at === 0 ? '\n' : ',\n'}${JSON.stringify(row)}`).join('')
    },
    tail: () => (array ? '\n]\n' : ''),
    leftOut: [],
  }
}

/** The format that a file's name asks for: `.csv`, `.json`, anything else is NDJSON. */
export function formatOf(path: string | undefined): FormatName {
  if (path?.toLowerCase().endsWith('.csv')) return 'csv'
  return path?.toLowerCase().endsWith('.json') ? 'json' : 'ndjson'
}

function csv(select: Json | undefined, known: readonly string[] | undefined): Format {
  let columns = known
  let column = new Set(known)
  const leftOut = new Set<string>()
  const records = (lines: readonly (readonly string[])[]): string =>
    stringify(lines as string[][], { record_delimiter: 'windows' })
  return {
    head(page) {
      columns = chooseColumns(select, page)
      column = new Set(columns)
      return columns.length === 0 ? '' : records([columns])
    },
    rows(page) {
      const lines = page.map((row) => {
        const fields = fieldsOf(row)
        for (const name of Object.keys(fields)) if (!column.has(name)) leftOut.add(name)
        return (columns ?? []).map((name) => cell(fields[name]))
      })
      return lines.length === 0 ? '' : records(lines)
    },
    tail: () => '',
    get columns() {
      return columns ?? []
    },
    get leftOut() {
      return [...leftOut]
    },
  }
}

function chooseColumns(select: Json | undefined, page: readonly JsonObject[]): readonly string[] {
  const fields = [...new Set(page.flatMap((row) => Object.keys(fieldsOf(row))))]
  const wanted = Array.isArray(select) ? select.filter((name) => typeof name === 'string') : []
  const usable = wanted.length > 0 && wanted.every((name) => !name.includes('*'))
  if (usable && (page.length === 0 || wanted.every((name) => fields.includes(name))))
    return [...new Set(wanted)]
  return fields
}

/** The fields of a row; a bare value becomes the field `value`. */
function fieldsOf(row: Json): JsonObject {
  return isJsonObject(row) ? row : { value: row }
}

function cell(value: Json | undefined): string {
  if (value === null || value === undefined) return ''
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
