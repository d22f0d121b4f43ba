import type { Kysely } from 'kysely'
import type { TokenKey } from '../../model/token.ts'
import type { StoreTables } from '../schema.ts'
import type { Sealer } from '../seal.ts'
import { openPair, tokenId } from './columns.ts'

/** A token that is about to end is no help. */
const LEAST_LIFE_MS = 60_000

/** True when a pair of this user is stored, alive or dead. */
export async function hasPair(db: Kysely<StoreTables>, key: TokenKey): Promise<boolean> {
  const row = await db.selectFrom('tokens').select('id').where('id', '=', tokenId(key)).executeTakeFirst()
  return row !== undefined
}

/** The newest access token that an event brought of a user, of one application or any, while it lives. */
export async function findAccess(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  whose: { readonly memberId: string; readonly clientId?: string; readonly userId: string },
  now: number,
): Promise<(TokenKey & { readonly accessToken: string }) | undefined> {
  const { memberId, userId } = whose
  const clients =
    whose.clientId === undefined
      ? (
          await db.selectFrom('installations').select('client_id').where('member_id', '=', memberId).execute()
        ).map((row) => row.client_id)
      : [whose.clientId]
  if (clients.length === 0) return undefined
  const row = await db
    .selectFrom('spare_tokens')
    .selectAll()
    .where(
      'token_id',
      'in',
      clients.map((clientId) => tokenId({ memberId, clientId, userId })),
    )
    .where('source', '=', 'access')
    .where('expires_at', '>', now + LEAST_LIFE_MS)
    .orderBy('created_at', 'desc')
    .limit(1)
    .executeTakeFirst()
  if (row === undefined) return undefined
  const { accessToken } = openPair(sealer, 'spare_tokens', row)
  return { memberId, clientId: row.client_id, userId, accessToken }
}

/** Forgets access tokens whose time is over. */
export async function dropOldAccess(db: Kysely<StoreTables>, now: number): Promise<void> {
  await db.deleteFrom('spare_tokens').where('source', '=', 'access').where('expires_at', '<=', now).execute()
}
