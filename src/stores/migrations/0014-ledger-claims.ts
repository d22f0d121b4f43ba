import type { Kysely } from 'kysely'
import { addColumn, defaulting, integer, key, optional } from './table.ts'

/** How often a write in doubt was sent again, by whichever process; by which word whoever has begun it knows its page. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await addColumn(db, 'ledger', 'repeats', defaulting(integer, 0))
  await addColumn(db, 'ledger', 'claim', optional(key(24)))
}
