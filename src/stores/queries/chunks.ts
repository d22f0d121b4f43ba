import type { Kysely } from 'kysely'
import { engineOf } from '../dialects/engine.ts'

const MOST_ROWS = 500
/** Characters of one statement, roughly; databases have bounds on packets. */
const MOST_SIZE = 4 * 1024 * 1024

/** The values in groups of at most `size`: statements have a bounded number of parameters. */
export function* chunksOf<T>(values: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < values.length; start += size) yield values.slice(start, start + size)
}

/** How many rows of so many columns one insert may carry. */
export function rowsAStatement<T>(db: Kysely<T>, columns: number): number {
  return Math.min(MOST_ROWS, Math.floor(engineOf(db).mostParameters / columns))
}

/** The values in groups of a bounded size, each of at least one. */
export function* chunksBySize<T>(values: readonly T[], sizeOf: (value: T) => number): Generator<T[]> {
  let group: T[] = []
  let size = 0
  for (const value of values) {
    const own = sizeOf(value)
    if (group.length > 0 && size + own > MOST_SIZE) {
      yield group
      group = []
      size = 0
    }
    group.push(value)
    size += own
  }
  if (group.length > 0) yield group
}
