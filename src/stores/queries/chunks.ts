import type { Kysely } from 'kysely'
import { engineOf } from '../dialects/engine.ts'

const MOST_ROWS = 500

/** The values in groups of at most `size`: statements have a bounded number of parameters. */
export function* chunksOf<T>(values: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < values.length; start += size) yield values.slice(start, start + size)
}

/** How many rows of so many columns one insert may carry. */
export function rowsAStatement<T>(db: Kysely<T>, columns: number): number {
  return Math.min(MOST_ROWS, Math.floor(engineOf(db).mostParameters / columns))
}
