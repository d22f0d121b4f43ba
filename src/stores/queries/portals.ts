import type { Kysely, Selectable } from 'kysely'
import type { KnownPortal, Portal } from '../../model/portal.ts'
import type { PortalsTable, StoreTables } from '../schema.ts'
import { chunksOf } from './chunks.ts'
import { forgetCursors } from './cursors.ts'
import { inTransaction } from './transaction.ts'

const IDS_A_STATEMENT = 500

/** Keeps what is known of a portal; its state, aliases and what is left out stay as they were. */
export async function savePortal(db: Kysely<StoreTables>, portal: Portal, now: number): Promise<void> {
  const values = {
    domain: portal.domain,
    client_endpoint: portal.clientEndpoint,
    ...(portal.serverEndpoint === undefined ? {} : { server_endpoint: portal.serverEndpoint }),
    ...(portal.limit === undefined ? {} : { request_limit: portal.limit }),
    updated_at: now,
  }
  const fresh = { server_endpoint: null, request_limit: null, reason: null, next_try: null, created_at: now }
  await db
    .insertInto('portals')
    .values({ ...fresh, ...values, member_id: portal.memberId, state: 'active' })
    .onConflict((conflict) => conflict.column('member_id').doUpdateSet(values))
    .execute()
}

/**
 * The portal by its permanent id, its alias or its domain, in this order; `undefined` when nobody is called so. Of
 * portals that had the same domain one after another, the one last heard of.
 */
export async function findPortal(db: Kysely<StoreTables>, name: string): Promise<KnownPortal | undefined> {
  const alias = await db
    .selectFrom('portal_aliases')
    .select('member_id')
    .where('alias', '=', name)
    .executeTakeFirst()
  const rows = await db
    .selectFrom('portals')
    .selectAll()
    .where((where) =>
      where.or([
        where('member_id', 'in', alias === undefined ? [name] : [name, alias.member_id]),
        where('domain', '=', name.toLowerCase()),
      ]),
    )
    .orderBy('updated_at', 'desc')
    .execute()
  const found =
    rows.find((row) => row.member_id === name) ??
    rows.find((row) => row.member_id === alias?.member_id) ??
    rows[0]
  return found && (await withAliases(db, [found]))[0]
}

/** Portals in the order of their ids, behind one id; at most `limit`. */
export async function listPortals(
  db: Kysely<StoreTables>,
  { after = '', limit = 1000 }: { readonly after?: string; readonly limit?: number } = {},
): Promise<KnownPortal[]> {
  const rows = await db
    .selectFrom('portals')
    .selectAll()
    .where('member_id', '>', after)
    .orderBy('member_id')
    .limit(limit)
    .execute()
  return withAliases(db, rows)
}

/** Nobody calls the portal until `nextTry`, or until it is resumed. False when it is not known. */
export async function suspendPortal(
  db: Kysely<StoreTables>,
  memberId: string,
  { reason, nextTry, now }: { readonly reason: string; readonly nextTry?: number; readonly now: number },
): Promise<boolean> {
  return setState(db, memberId, { state: 'suspended', reason, next_try: nextTry ?? null, updated_at: now })
}

/** The portal may be called again. False when it is not known. */
export async function resumePortal(db: Kysely<StoreTables>, memberId: string, now: number): Promise<boolean> {
  return setState(db, memberId, { state: 'active', reason: null, next_try: null, updated_at: now })
}

/** Calls the portal by another name too; the name leaves a portal that had it. */
export async function saveAlias(db: Kysely<StoreTables>, alias: string, memberId: string): Promise<void> {
  await db
    .insertInto('portal_aliases')
    .values({ alias, member_id: memberId })
    .onConflict((conflict) => conflict.column('alias').doUpdateSet({ member_id: memberId }))
    .execute()
}

/** Forgets a name. */
export async function removeAlias(db: Kysely<StoreTables>, alias: string): Promise<void> {
  await db.deleteFrom('portal_aliases').where('alias', '=', alias).execute()
}

/** Forgets a portal with everything that belongs to it. False when it was not known. */
export async function removePortal(db: Kysely<StoreTables>, memberId: string): Promise<boolean> {
  return inTransaction(db, async (transaction) => {
    for (const table of [
      'spare_tokens',
      'tokens',
      'application_tokens',
      'installations',
      'webhooks',
      'portal_aliases',
      'subscriptions',
      'visitors',
      'offline_pumps',
      'offline_sources',
      'event_arrivals',
    ] as const) {
      await transaction.deleteFrom(table).where('member_id', '=', memberId).execute()
    }
    for (const reader of ['push', 'scan']) await forgetCursors(transaction, `${reader}/${memberId}`)
    const result = await transaction
      .deleteFrom('portals')
      .where('member_id', '=', memberId)
      .executeTakeFirst()
    return result.numDeletedRows > 0n
  })
}

async function setState(
  db: Kysely<StoreTables>,
  memberId: string,
  values: Pick<PortalsTable, 'state' | 'reason' | 'next_try' | 'updated_at'>,
): Promise<boolean> {
  const result = await db
    .updateTable('portals')
    .set(values)
    .where('member_id', '=', memberId)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

async function withAliases(
  db: Kysely<StoreTables>,
  rows: readonly Selectable<PortalsTable>[],
): Promise<KnownPortal[]> {
  const aliases = new Map<string, string[]>()
  for (const some of chunksOf(rows, IDS_A_STATEMENT)) {
    const ids = some.map((row) => row.member_id)
    const found = await db.selectFrom('portal_aliases').selectAll().where('member_id', 'in', ids).execute()
    for (const { alias, member_id } of found) {
      aliases.set(member_id, [...(aliases.get(member_id) ?? []), alias].sort())
    }
  }
  return rows.map((row) => portalOf(row, aliases.get(row.member_id) ?? []))
}

function portalOf(row: Selectable<PortalsTable>, aliases: readonly string[]): KnownPortal {
  return {
    memberId: row.member_id,
    domain: row.domain,
    clientEndpoint: row.client_endpoint,
    ...(row.server_endpoint === null ? {} : { serverEndpoint: row.server_endpoint }),
    ...(row.request_limit === null ? {} : { limit: row.request_limit }),
    state: row.state,
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.next_try === null ? {} : { nextTry: row.next_try }),
    aliases,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
