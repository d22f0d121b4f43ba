import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'

/** What was applied to a portal last; see `bridge/events/subscriptions`. */
export interface AppliedRow {
  readonly memberId: string
  readonly clientId: string
  readonly document: string
  readonly base: string
  readonly remembered: string
  readonly appliedAt: number
}

/** What was applied last, or `undefined`. */
export async function findApplied(
  db: Kysely<StoreTables>,
  memberId: string,
  clientId: string,
): Promise<AppliedRow | undefined> {
  const row = await db
    .selectFrom('subscriptions')
    .selectAll()
    .where('member_id', '=', memberId)
    .where('client_id', '=', clientId)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { document, base, remembered } = row
  return { memberId, clientId, document, base, remembered, appliedAt: row.applied_at }
}

/** Keeps it over what was applied before. */
export async function saveApplied(db: Kysely<StoreTables>, applied: AppliedRow): Promise<void> {
  const { memberId, clientId, document, base, remembered, appliedAt } = applied
  const values = { document, base, remembered, applied_at: appliedAt }
  await db
    .insertInto('subscriptions')
    .values({ member_id: memberId, client_id: clientId, ...values })
    .onConflict((conflict) => conflict.columns(['member_id', 'client_id']).doUpdateSet(values))
    .execute()
}

/** Member ids of the portals on which an application lives, behind one id; at most `limit`. */
export async function listInstalled(
  db: Kysely<StoreTables>,
  clientId: string,
  { after, limit }: { readonly after: string; readonly limit: number },
): Promise<string[]> {
  const rows = await db
    .selectFrom('installations')
    .select('member_id')
    .where('client_id', '=', clientId)
    .where('member_id', '>', after)
    .orderBy('member_id')
    .limit(limit)
    .execute()
  return rows.map((row) => row.member_id)
}
