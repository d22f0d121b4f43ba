import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely, Transaction } from 'kysely'
import { StoreError } from '../../model/errors.ts'

const TRIES = 10

/**
 * Runs something in a transaction, and again when it lost a deadlock: it must not do anything else than statements.
 * Inside a transaction of the caller it is a part of that one, and not repeated.
 */
export async function inTransaction<T, R>(
  db: Kysely<T>,
  act: (transaction: Transaction<T>) => Promise<R>,
): Promise<R> {
  if (db.isTransaction) return act(db as Transaction<T>)
  for (let tries = 1; ; tries++) {
    try {
      return await db.transaction().execute(act)
    } catch (error) {
      if (!(error instanceof StoreError) || error.code !== 'STORE_BUSY' || tries === TRIES) throw error
      await sleep(3 * tries * tries)
    }
  }
}
