import { type Kysely, sql } from 'kysely'
import type { StoreTables } from './schema.ts'
import type { Sealer } from './seal.ts'

/** How far a rotation has come. */
export interface RotateProgress {
  readonly table: string
  /** Secrets sealed anew so far, in all tables. */
  readonly resealed: number
}

export interface RotateOptions {
  /** Rows a step; 200. */
  readonly step?: number
  readonly onProgress?: (progress: RotateProgress) => void
  readonly signal?: AbortSignal
}

/** Every place where a sealed text stands: the table, the column of its row's name, the columns. */
const SEALED = [
  { table: 'secrets', id: 'name', columns: ['value'] },
  { table: 'applications', id: 'client_id', columns: ['client_secret'] },
  { table: 'tokens', id: 'id', columns: ['access_token', 'refresh_token'] },
  { table: 'spare_tokens', id: 'id', columns: ['access_token', 'refresh_token'] },
  { table: 'webhooks', id: 'id', columns: ['url'] },
  { table: 'dead_letters', id: 'id', columns: ['secret_headers'] },
] as const

type Untyped = Kysely<Record<string, Record<string, string | null>>>

/**
 * Seals every secret anew under the active key, a few rows at a time, while the bridge works; what somebody else writes
 * in between stays as written. Keys under which nothing is left are forgotten and may be taken out of the settings. Can
 * be broken off and repeated. Gives the number of secrets that were sealed anew.
 */
export async function rotate(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  options: RotateOptions = {},
): Promise<number> {
  const { step = 200, onProgress, signal } = options
  const untyped = db as unknown as Untyped
  const current = `v1.${sealer.active}.%`
  let resealed = 0
  for (const { table, id, columns } of SEALED) {
    for (const column of columns) {
      for (let last = ''; ; ) {
        signal?.throwIfAborted()
        const rows = await untyped
          .selectFrom(table)
          .select([id, column])
          .where(id, '>', last)
          .where(column, 'is not', null)
          .where(column, 'not like', current)
          .orderBy(id)
          .limit(step)
          .execute()
        for (const row of rows) {
          last = row[id]!
          const place = { table, row: last, column }
          const sealed = row[column]!
          const anew = sealer.seal(place, sealer.open(place, sealed))
          // Only over what was read: a pair that was renewed meanwhile is the better one.
          const update = untyped.updateTable(table).set({ [column]: anew })
          const result = await update.where(id, '=', last).where(column, '=', sealed).executeTakeFirst()
          resealed += Number(result.numUpdatedRows)
        }
        if (rows.length === 0) break
        onProgress?.({ table, resealed })
      }
    }
  }
  const left = await countSecrets(db)
  const idle = sealer.kids.filter((kid) => kid !== sealer.active && !left.has(kid))
  if (idle.length > 0) await db.deleteFrom('secret_keys').where('kid', 'in', idle).execute()
  return resealed
}

/** How many secrets are sealed under each key. */
export async function countSecrets(db: Kysely<StoreTables>): Promise<Map<string, number>> {
  const { rows: kids } = await sql<{ kid: string }>`select kid from secret_keys`.execute(db)
  const counts = new Map<string, number>()
  for (const { kid } of kids) {
    for (const { table, columns } of SEALED) {
      for (const column of columns) {
        const row = await (db as unknown as Untyped)
          .selectFrom(table)
          .select((count) => count.fn.countAll<number>().as('secrets'))
          .where(column, 'like', `v1.${kid}.%`)
          .executeTakeFirstOrThrow()
        const found = Number(row.secrets)
        if (found > 0) counts.set(kid, (counts.get(kid) ?? 0) + found)
      }
    }
  }
  return counts
}
