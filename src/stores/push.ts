import type { Kysely } from 'kysely'
import { words } from './queries/columns.ts'
import { readCursor, saveCursor } from './queries/cursors.ts'
import { listLeases, releaseOwnLease, renewLeases, takeLease } from './queries/leases.ts'
import type { StoreTables } from './schema.ts'

/** The store as listening to push servers wants it. */
export function pushRecords(db: Kysely<StoreTables>) {
  return {
    installations: () => listPushInstallations(db),
    leased: async (prefix: string) =>
      new Map((await listLeases(db, prefix)).map(({ name, owner }) => [name, owner])),
    lease: async (name: string, owner: string, ttlMs: number) =>
      (await takeLease(db, { name, owner, ttlMs })) !== undefined,
    renew: (prefix: string, owner: string, ttlMs: number) => renewLeases(db, { prefix, owner, ttlMs }),
    release: (name: string, owner: string) => releaseOwnLease(db, name, owner),
    cursor: (name: string) => readCursor(db, name),
    saveCursor: (name: string, cursor: { readonly value: string; readonly updatedAt: number }) =>
      saveCursor(db, name, cursor),
  }
}

/** Applications with the scope `pull` and a pair that works, on portals that are called. */
async function listPushInstallations(
  db: Kysely<StoreTables>,
): Promise<{ memberId: string; clientId: string; updatedAt: number }[]> {
  const rows = await db
    .selectFrom('installations')
    .innerJoin('portals', 'portals.member_id', 'installations.member_id')
    .select([
      'installations.member_id',
      'installations.client_id',
      'installations.scope',
      'installations.updated_at',
    ])
    .where('portals.state', '=', 'active')
    .where('installations.scope', 'like', '%pull%')
    .where((where) =>
      where.exists(
        where
          .selectFrom('tokens')
          .select('tokens.id')
          .whereRef('tokens.member_id', '=', 'installations.member_id')
          .whereRef('tokens.client_id', '=', 'installations.client_id')
          .where('tokens.state', '=', 'active'),
      ),
    )
    .execute()
  return rows
    .filter(({ scope }) => words(scope).includes('pull'))
    .map((row) => ({ memberId: row.member_id, clientId: row.client_id, updatedAt: row.updated_at }))
}
