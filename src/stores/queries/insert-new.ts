import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'
import { chunksOf, rowsAStatement } from './chunks.ts'
import { inTransaction } from './transaction.ts'

type Row = Readonly<Record<string, string | number | null>>
type Rows = Kysely<Record<string, Row>>

/**
 * Inserts the rows whose key is not there yet and says which keys were new; rows that exist stay as they are. Each key
 * at most once in the list. However many processes insert the same key, one of them is told that it is new.
 */
export async function insertNew<T extends keyof StoreTables>(
  db: Kysely<StoreTables>,
  table: T,
  key: keyof StoreTables[T] & string,
  rows: readonly Row[],
): Promise<Set<string>> {
  const fresh = new Set<string>()
  if (rows.length === 0) return fresh
  // In one order for everybody, or two writers could wait for each other.
  const sorted = [...rows].sort((a, b) => (String(a[key]) < String(b[key]) ? -1 : 1))
  const untyped = db as unknown as Rows
  for (const some of chunksOf(sorted, rowsAStatement(db, Object.keys(rows[0]!).length))) {
    const keys = untyped.getExecutor().adapter.supportsReturning
      ? await insertReturning(untyped, table, key, some)
      : await insertCounting(untyped, table, key, some)
    for (const one of keys) fresh.add(one)
  }
  return fresh
}

async function insertReturning(
  db: Rows,
  table: string,
  key: string,
  rows: readonly Row[],
): Promise<string[]> {
  const inserted = await insert(db, table, key, rows).returning(key).execute()
  return inserted.map((row) => String(row[key]))
}

/**
 * Where the database only counts: all new, or none, is told by the number. Between the two the insert is taken back and
 * repeated row by row, which is rare: commands that come again among commands that are new.
 */
async function insertCounting(db: Rows, table: string, key: string, rows: readonly Row[]): Promise<string[]> {
  const keys = rows.map((row) => String(row[key]))
  if (rows.length === 1) return (await insertCount(db, table, key, rows)) === 1 ? keys : []
  if (db.isTransaction) throw new Error('Here insertNew needs transactions of its own')
  try {
    const count = await inTransaction(db, async (one) => {
      const inserted = await insertCount(one, table, key, rows)
      if (inserted > 0 && inserted < rows.length) throw new Mixed()
      return inserted
    })
    return count === 0 ? [] : keys
  } catch (error) {
    if (!(error instanceof Mixed)) throw error
  }
  return inTransaction(db, async (one) => {
    const fresh: string[] = []
    for (const row of rows) {
      if ((await insertCount(one, table, key, [row])) === 1) fresh.push(String(row[key]))
    }
    return fresh
  })
}

class Mixed extends Error {}

async function insertCount(db: Rows, table: string, key: string, rows: readonly Row[]): Promise<number> {
  const result = await insert(db, table, key, rows).executeTakeFirst()
  return Number(result.numInsertedOrUpdatedRows ?? 0n)
}

function insert(db: Rows, table: string, key: string, rows: readonly Row[]) {
  return db
    .insertInto(table)
    .values(rows)
    .onConflict((conflict) => conflict.column(key).doNothing())
}
