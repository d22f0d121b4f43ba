import { randomUUID } from 'node:crypto'
import type { Kysely } from 'kysely'
import type { SpareTokens, TokenKey, TokenPair } from '../../model/token.ts'
import type { StoreTables } from '../schema.ts'
import type { Sealer } from '../seal.ts'
import { keyColumns, openPair, pairColumns, tokenId } from './columns.ts'

/**
 * Keeps a pair that is not in use: one that came too late to be stored (`orphan`; all are kept), or a second chain that
 * an event brought (`event`; the newest is kept). `access` stands for an access token that an event brought of a user who
 * has no pair; the newest is kept too.
 */
export async function keepSpare(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
  spare: { readonly source: SpareTokens['source']; readonly pair: TokenPair; readonly now: number },
): Promise<void> {
  const { source, pair, now } = spare
  const id = randomUUID()
  const token = tokenId(key)
  await db
    .insertInto('spare_tokens')
    .values({
      id,
      token_id: token,
      ...keyColumns(key),
      source,
      ...pairColumns(sealer, 'spare_tokens', id, pair),
      created_at: now,
    })
    .execute()
  if (source === 'orphan') return
  await db
    .deleteFrom('spare_tokens')
    .where('token_id', '=', token)
    .where('source', '=', source)
    .where('id', '!=', id)
    .where('created_at', '<=', now)
    .execute()
}

/** The spare pairs of a user: those that came too late first, each kind with the newest first. */
export async function listSpares(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
): Promise<SpareTokens[]> {
  const rows = await db
    .selectFrom('spare_tokens')
    .selectAll()
    .where('token_id', '=', tokenId(key))
    .orderBy('source', 'desc')
    .orderBy('created_at', 'desc')
    .execute()
  return rows.map((row) => ({
    ...key,
    id: row.id,
    source: row.source,
    ...openPair(sealer, 'spare_tokens', row),
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    createdAt: row.created_at,
  }))
}

/** Forgets a spare pair, used up or refused. */
export async function dropSpare(db: Kysely<StoreTables>, id: string): Promise<void> {
  await db.deleteFrom('spare_tokens').where('id', '=', id).execute()
}
