import type { Kysely } from 'kysely'
import type { TokenKey } from '../../model/token.ts'
import type { StoreTables } from '../schema.ts'
import { tokenId } from './columns.ts'
import { insertNew } from './insert-new.ts'

/** This user's tokens came with a page that he opened: they are used for calls in his own name only. */
export async function noteVisitor(db: Kysely<StoreTables>, key: TokenKey): Promise<void> {
  await insertNew(db, 'visitors', 'token_id', [{ token_id: tokenId(key), member_id: key.memberId }])
}

/** He speaks for the application from now on: he has installed it, or an operator says so. */
export async function forgetVisitor(db: Kysely<StoreTables>, key: TokenKey): Promise<void> {
  await db.deleteFrom('visitors').where('token_id', '=', tokenId(key)).execute()
}

/** Whether a user of this portal is only a visitor. */
export async function visitorsOf(
  db: Kysely<StoreTables>,
  memberId: string,
): Promise<(key: TokenKey) => boolean> {
  const rows = await db.selectFrom('visitors').select('token_id').where('member_id', '=', memberId).execute()
  const ids = new Set(rows.map(({ token_id }) => token_id))
  return (key) => ids.has(tokenId(key))
}
