import type { Kysely } from 'kysely'
import { integer, key, makeTable, time } from './table.ts'

/**
 * Messages that processes may have died of: who has which in hand, how many have died of it, and whether others were begun
 * beside it. The table `suspects` stays for processes of an older version that still run.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await makeTable(db, 'trials', {
    columns: { id: key(255), owner: key(128), deaths: integer, crowded: integer, seen_at: time },
    primaryKey: ['id'],
    indexes: [{ name: 'trials_by_owner', columns: ['owner'] }],
  })
}
