import type { Kysely, Selectable } from 'kysely'
import type { StoredTokens, TokenKey, TokenPair, TokenState } from '../../model/token.ts'
import { moment } from '../dialects/engine.ts'
import type { StoreTables, TokensTable } from '../schema.ts'
import type { Sealer } from '../seal.ts'
import { joined, keyColumns, openPair, pairColumns, tokenId, words } from './columns.ts'
import { keepSpare } from './spare-tokens.ts'

/** The right to renew one pair, for a while. */
export interface RenewalClaim {
  /** To be given back with the new pair. */
  readonly epoch: number
  readonly refreshToken: string
}

/**
 * Keeps a pair that came from outside: an installation, an authorization, an operator. It takes the place of the
 * earlier one, ends a renewal that is under way, and makes dead tokens live again.
 */
export async function saveTokens(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
  pair: TokenPair,
  now: number,
): Promise<void> {
  const id = tokenId(key)
  const values = {
    ...pairColumns(sealer, 'tokens', id, pair),
    scope: joined(pair.scope),
    status: pair.status ?? null,
    lease_owner: null,
    lease_until: null,
    state: 'active' as const,
    reason: null,
    renewed_at: now,
  }
  await db
    .insertInto('tokens')
    .values({ id, ...keyColumns(key), ...values, version: 1, epoch: 1, created_at: now })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet((set) => ({
        ...values,
        version: set('tokens.version', '+', 1),
        epoch: set('tokens.epoch', '+', 1),
      })),
    )
    .execute()
}

/** The tokens of a user of an application on a portal, or `undefined`. Rejects when the secret key does not fit. */
export async function findTokens(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
): Promise<StoredTokens | undefined> {
  const id = tokenId(key)
  const row = await db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return undefined
  return { ...stateOf(row), ...openPair(sealer, 'tokens', row) }
}

/** All tokens of a portal without the pairs, the oldest first: without a wish it speaks for the application. */
export async function listTokens(
  db: Kysely<StoreTables>,
  { memberId, clientId }: { readonly memberId: string; readonly clientId?: string },
): Promise<TokenState[]> {
  let query = db.selectFrom('tokens').selectAll().where('member_id', '=', memberId)
  if (clientId !== undefined) query = query.where('client_id', '=', clientId)
  return (await query.orderBy('created_at').orderBy('id').execute()).map(stateOf)
}

/** Live tokens that nobody has renewed since a moment, the oldest first: their refresh tokens come to their end. */
export async function findIdleTokens(
  db: Kysely<StoreTables>,
  { renewedBefore, limit }: { readonly renewedBefore: number; readonly limit: number },
): Promise<TokenState[]> {
  const rows = await db
    .selectFrom('tokens')
    .selectAll()
    .where('renewed_at', '<', renewedBefore)
    .where('state', '=', 'active')
    .where('refresh_token', 'is not', null)
    .orderBy('renewed_at')
    .limit(limit)
    .execute()
  return rows.map(stateOf)
}

/**
 * Takes the right to renew the pair of a version that was read before. `undefined` when another process has it, or has
 * renewed the pair already: read again. It runs out by itself, by the database's clock unless a moment is given.
 */
export async function claimRenewal(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
  claim: {
    readonly version: number
    readonly owner: string
    readonly ttlMs: number
    readonly now?: number
  },
): Promise<RenewalClaim | undefined> {
  const id = tokenId(key)
  const now = moment(db, claim.now)
  const taken = await db
    .updateTable('tokens')
    .set((set) => ({
      epoch: set('epoch', '+', 1),
      lease_owner: claim.owner,
      lease_until: set(now, '+', claim.ttlMs),
    }))
    .where('id', '=', id)
    .where('version', '=', claim.version)
    .where('state', '=', 'active')
    .where('refresh_token', 'is not', null)
    .where((where) => where.or([where('lease_until', 'is', null), where('lease_until', '<=', now)]))
    .executeTakeFirst()
  if (taken.numUpdatedRows === 0n) return undefined
  const row = await db
    .selectFrom('tokens')
    .select(['id', 'epoch', 'access_token', 'refresh_token'])
    .where('id', '=', id)
    .where('version', '=', claim.version)
    .where('lease_owner', '=', claim.owner)
    .executeTakeFirst()
  if (row === undefined) return undefined
  return { epoch: row.epoch, refreshToken: openPair(sealer, 'tokens', row).refreshToken! }
}

/**
 * Keeps the pair that a renewal gave. When the right to it was lost meanwhile, the pair is never thrown away: it becomes
 * a spare one (`orphaned`), because it may be the only one that lives.
 */
export async function storeRenewed(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  key: TokenKey,
  renewed: { readonly epoch: number; readonly pair: TokenPair; readonly now: number },
): Promise<'stored' | 'orphaned'> {
  const id = tokenId(key)
  const { epoch, pair, now } = renewed
  const result = await db
    .updateTable('tokens')
    .set({
      ...pairColumns(sealer, 'tokens', id, pair),
      ...(pair.scope === undefined ? {} : { scope: joined(pair.scope) }),
      ...(pair.status === undefined ? {} : { status: pair.status }),
      lease_owner: null,
      lease_until: null,
      state: 'active',
      reason: null,
      renewed_at: now,
    })
    .set((set) => ({ version: set('version', '+', 1) }))
    .where('id', '=', id)
    .where('epoch', '=', epoch)
    .executeTakeFirst()
  if (result.numUpdatedRows > 0n) return 'stored'
  await keepSpare(db, sealer, key, { source: 'orphan', pair, now })
  return 'orphaned'
}

/** Gives the right to renew back after a failure; nobody gets it before the pause is over. */
export async function releaseRenewal(
  db: Kysely<StoreTables>,
  key: TokenKey,
  release: { readonly epoch: number; readonly pauseMs: number; readonly now?: number },
): Promise<void> {
  await db
    .updateTable('tokens')
    .set((set) => ({ lease_owner: null, lease_until: set(moment(db, release.now), '+', release.pauseMs) }))
    .where('id', '=', tokenId(key))
    .where('epoch', '=', release.epoch)
    .execute()
}

/** Nobody may call with these any more, until a new pair comes. False when they were replaced since that version. */
export async function markTokensDead(
  db: Kysely<StoreTables>,
  key: TokenKey,
  { version, reason }: { readonly version: number; readonly reason: string },
): Promise<boolean> {
  const result = await db
    .updateTable('tokens')
    .set({ state: 'dead', reason, lease_owner: null, lease_until: null })
    .where('id', '=', tokenId(key))
    .where('version', '=', version)
    .executeTakeFirst()
  return result.numUpdatedRows > 0n
}

/** Forgets the tokens of a user, with the spare ones. */
export async function removeTokens(db: Kysely<StoreTables>, key: TokenKey): Promise<void> {
  const id = tokenId(key)
  await db.deleteFrom('spare_tokens').where('token_id', '=', id).execute()
  await db.deleteFrom('tokens').where('id', '=', id).execute()
}

function stateOf(row: Selectable<TokensTable>): TokenState {
  return {
    memberId: row.member_id,
    clientId: row.client_id,
    userId: row.user_id,
    hasRefreshToken: row.refresh_token !== null,
    ...(row.expires_at === null ? {} : { expiresAt: row.expires_at }),
    scope: words(row.scope),
    ...(row.status === null ? {} : { status: row.status }),
    version: row.version,
    state: row.state,
    ...(row.reason === null ? {} : { reason: row.reason }),
    ...(row.lease_until === null ? {} : { leaseUntil: row.lease_until }),
    createdAt: row.created_at,
    renewedAt: row.renewed_at,
  }
}
