import type { Kysely } from 'kysely'
import type { StoreTables } from '../schema.ts'
import type { Secrets } from '../secrets.ts'

/** A secret by which event requests of a portal prove their origin; several may hold at once. */
export interface ApplicationToken {
  readonly memberId: string
  /** Absent for one of an outgoing webhook. */
  readonly clientId?: string
  /** For people: where it came from. */
  readonly label: string
}

/** Keeps a token's fingerprint; the token itself is not kept. Twice is harmless. */
export async function addApplicationToken(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  token: ApplicationToken & { readonly token: string },
  now: number,
): Promise<void> {
  const values = { client_id: token.clientId ?? null, label: token.label }
  await db
    .insertInto('application_tokens')
    .values({
      member_id: token.memberId,
      fingerprint: applicationTokenFingerprint(secrets, token.memberId, token.token),
      created_at: now,
      ...values,
    })
    .onConflict((conflict) => conflict.columns(['member_id', 'fingerprint']).doUpdateSet(values))
    .execute()
}

/** What a portal's token stands for, or `undefined` when it is not one of the portal's. */
export async function findApplicationToken(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  memberId: string,
  token: string,
): Promise<ApplicationToken | undefined> {
  // Time tells nothing: what is compared is not what was sent.
  const row = await db
    .selectFrom('application_tokens')
    .selectAll()
    .where('member_id', '=', memberId)
    .where('fingerprint', '=', applicationTokenFingerprint(secrets, memberId, token))
    .executeTakeFirst()
  if (row === undefined) return undefined
  return { memberId, label: row.label, ...(row.client_id === null ? {} : { clientId: row.client_id }) }
}

/** The tokens of a portal, without the tokens. */
export async function listApplicationTokens(
  db: Kysely<StoreTables>,
  memberId: string,
): Promise<ApplicationToken[]> {
  const rows = await db
    .selectFrom('application_tokens')
    .selectAll()
    .where('member_id', '=', memberId)
    .orderBy('created_at')
    .orderBy('fingerprint')
    .execute()
  return rows.map((row) => ({
    memberId,
    label: row.label,
    ...(row.client_id === null ? {} : { clientId: row.client_id }),
  }))
}

/** What all tokens of a portal are recognised by, for those who compare many. */
export async function listTokenFingerprints(
  db: Kysely<StoreTables>,
  memberId: string,
): Promise<{ readonly fingerprint: string; readonly clientId?: string }[]> {
  const rows = await db
    .selectFrom('application_tokens')
    .select(['fingerprint', 'client_id'])
    .where('member_id', '=', memberId)
    .execute()
  return rows.map(({ fingerprint, client_id: clientId }) => ({
    fingerprint,
    ...(clientId === null ? {} : { clientId }),
  }))
}

/** A token stops to prove anything. */
export async function removeApplicationToken(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  memberId: string,
  token: string,
): Promise<void> {
  await db
    .deleteFrom('application_tokens')
    .where('member_id', '=', memberId)
    .where('fingerprint', '=', applicationTokenFingerprint(secrets, memberId, token))
    .execute()
}

/** What is kept of a token: it tells the token again, and nothing leads back to it. */
export function applicationTokenFingerprint(secrets: Secrets, memberId: string, token: string): string {
  return secrets.fingerprint(JSON.stringify(['application_token', memberId, token]))
}
