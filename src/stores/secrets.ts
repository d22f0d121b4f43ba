import { createHmac, randomBytes } from 'node:crypto'
import type { Kysely } from 'kysely'
import { StoreError } from '../model/errors.ts'
import { insertNew } from './queries/insert-new.ts'
import type { StoreTables } from './schema.ts'
import type { Sealer } from './seal.ts'

/** A sealer that has proved to fit this store, with the fingerprints of what is kept only to be recognised. */
export interface Secrets extends Sealer {
  /** The same text gives the same fingerprint as long as the store lives, and nothing leads back. */
  fingerprint(text: string): string
}

const FINGERPRINT_KEY = { table: 'secrets', row: 'fingerprint', column: 'value' }
const CANARY = 'bitrix24-bridge'

/**
 * Proves that the keys are those of this store, before anything is read or written with them: rejects with
 * `SECRET_KEY_MISSING` or `SECRET_KEY_WRONG`, naming the key. The first call for a store makes it its own.
 */
export async function openSecrets(
  db: Kysely<StoreTables>,
  sealer: Sealer,
  now: () => number,
): Promise<Secrets> {
  // Of several first processes with different keys one gets its way; the others cannot open it, and stop.
  const made = sealer.seal(FINGERPRINT_KEY, randomBytes(32).toString('base64'))
  await insertNew(db, 'secrets', 'name', [{ name: FINGERPRINT_KEY.row, value: made }])
  const { value } = await db
    .selectFrom('secrets')
    .select('value')
    .where('name', '=', FINGERPRINT_KEY.row)
    .executeTakeFirstOrThrow()
  const key = Buffer.from(proved(sealer, FINGERPRINT_KEY, value), 'base64')
  const canaries = await db.selectFrom('secret_keys').selectAll().execute()
  for (const { kid, canary } of canaries) proved(sealer, canaryPlace(kid), canary)
  await rememberKey(db, sealer, now())
  return {
    ...sealer,
    fingerprint: (text) => createHmac('sha256', key).update(text).digest('hex'),
  }
}

/** Leaves a text that only the active key opens. */
async function rememberKey(db: Kysely<StoreTables>, sealer: Sealer, now: number): Promise<void> {
  const kid = sealer.active
  const canary = sealer.seal(canaryPlace(kid), CANARY)
  await insertNew(db, 'secret_keys', 'kid', [{ kid, canary, added_at: now }])
}

function canaryPlace(kid: string): { table: string; row: string; column: string } {
  return { table: 'secret_keys', row: kid, column: 'canary' }
}

/** A wrong key must never look like an empty store. */
function proved(sealer: Sealer, place: Parameters<Sealer['open']>[0], sealed: string): string {
  try {
    return sealer.open(place, sealed)
  } catch (error) {
    if (!(error instanceof StoreError)) throw error
    const kid = String(error.context.kid ?? 'unknown')
    if (error.code === 'SECRET_KEY_MISSING') {
      throw new StoreError(
        'SECRET_KEY_MISSING',
        `The secrets of this store are sealed under the key ${kid}, which is not among ours (${sealer.kids.join(', ')})`,
        {
          hint: `Set BRIDGE_SECRET_KEY to the key ${kid}, or add it behind the active one until the secrets have been rotated.`,
          context: { kid },
        },
      )
    }
    throw new StoreError(
      'SECRET_KEY_WRONG',
      `The key ${kid} is not the one that this store was sealed with`,
      {
        hint: `Set BRIDGE_SECRET_KEY to the key that was called ${kid} when the secrets were stored.`,
        context: { kid },
      },
    )
  }
}
