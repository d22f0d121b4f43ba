import type { Kysely } from 'kysely'
import type { Installation } from '../../model/portal.ts'
import type { StoreTables } from '../schema.ts'
import type { Sealer } from '../seal.ts'
import { joined, words } from './columns.ts'

/** One of our applications, as the vendor's cabinet or a portal's developer page names it. */
export interface Application {
  readonly clientId: string
  readonly name: string
  readonly clientSecret: string
}

/** Keeps an application, over the earlier one. */
export async function saveApplication(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  application: Application,
  now: number,
): Promise<void> {
  const { clientId, name, clientSecret } = application
  const values = { name, client_secret: sealer.seal(place(clientId), clientSecret), updated_at: now }
  await db
    .insertInto('applications')
    .values({ client_id: clientId, created_at: now, ...values })
    .onConflict((conflict) => conflict.column('client_id').doUpdateSet(values))
    .execute()
}

/** An application with its secret, or `undefined`. */
export async function findApplication(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  clientId: string,
): Promise<Application | undefined> {
  const row = await db
    .selectFrom('applications')
    .selectAll()
    .where('client_id', '=', clientId)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return { clientId, name: row.name, clientSecret: sealer.open(place(clientId), row.client_secret) }
}

/** All applications without their secrets, the oldest first. */
export async function listApplications(
  db: Kysely<StoreTables>,
): Promise<(Omit<Application, 'clientSecret'> & { readonly createdAt: number })[]> {
  const rows = await db
    .selectFrom('applications')
    .select(['client_id', 'name', 'created_at'])
    .orderBy('created_at')
    .orderBy('client_id')
    .execute()
  return rows.map((row) => ({ clientId: row.client_id, name: row.name, createdAt: row.created_at }))
}

/** Forgets an application; what it did on portals stays. False when it was not known. */
export async function removeApplication(db: Kysely<StoreTables>, clientId: string): Promise<boolean> {
  const result = await db.deleteFrom('applications').where('client_id', '=', clientId).executeTakeFirst()
  return result.numDeletedRows > 0n
}

/** Keeps that an application lives on a portal, over what was known. */
export async function saveInstallation(
  db: Kysely<StoreTables>,
  installation: Installation,
  now: number,
): Promise<void> {
  const { memberId, clientId, status, scope, version, userId } = installation
  const values = {
    status: status ?? null,
    scope: joined(scope),
    version: version ?? null,
    user_id: userId ?? null,
    updated_at: now,
  }
  await db
    .insertInto('installations')
    .values({ member_id: memberId, client_id: clientId, created_at: now, ...values })
    .onConflict((conflict) => conflict.columns(['member_id', 'client_id']).doUpdateSet(values))
    .execute()
}

/** The applications on a portal, the oldest first. */
export async function listInstallations(db: Kysely<StoreTables>, memberId: string): Promise<Installation[]> {
  const rows = await db
    .selectFrom('installations')
    .selectAll()
    .where('member_id', '=', memberId)
    .orderBy('created_at')
    .orderBy('client_id')
    .execute()
  return rows.map((row) => ({
    memberId,
    clientId: row.client_id,
    ...(row.status === null ? {} : { status: row.status }),
    scope: words(row.scope),
    ...(row.version === null ? {} : { version: row.version }),
    ...(row.user_id === null ? {} : { userId: row.user_id }),
  }))
}

/** Forgets that an application lives on a portal, with its tokens there. */
export async function removeInstallation(
  db: Kysely<StoreTables>,
  { memberId, clientId }: Pick<Installation, 'memberId' | 'clientId'>,
): Promise<void> {
  for (const table of ['spare_tokens', 'tokens', 'application_tokens', 'installations'] as const) {
    await db.deleteFrom(table).where('member_id', '=', memberId).where('client_id', '=', clientId).execute()
  }
}

function place(clientId: string): { table: string; row: string; column: string } {
  return { table: 'applications', row: clientId, column: 'client_secret' }
}
