import { randomUUID } from 'node:crypto'
import { hostname } from 'node:os'
import type { Kysely } from 'kysely'
import { StoreError } from '../model/errors.ts'
import type { StoreOwnerTable, StoreTables } from './schema.ts'

/** The right to be the only program on a store, kept alive until it is given back. */
export interface Ownership {
  release(): Promise<void>
}

export interface OwnershipOptions {
  readonly now: () => number
  /** After this long without a sign of life the holder counts as gone. */
  readonly staleMs: number
  /** Another process has taken the store over, because this one gave no sign of life for too long. */
  readonly onLost: () => void
}

/** Holders of this very process; a container's process number is the same after each restart. */
const ours = new Set<string>()

/**
 * Takes a store for this process alone. The holder writes a sign of life three times within `staleMs`; a holder that
 * died on this machine is replaced at once, any other one when it has been silent for `staleMs`. Rejects with
 * `STORE_IN_USE`, naming the holder.
 */
export async function takeOwnership(db: Kysely<StoreTables>, options: OwnershipOptions): Promise<Ownership> {
  const { now, staleMs } = options
  const owner = randomUUID()
  await db.transaction().execute(async (transaction) => {
    const holder = await transaction.selectFrom('store_owner').selectAll().executeTakeFirst()
    if (holder !== undefined && !isGone(holder, now(), staleMs)) throw inUse(holder)
    await transaction.deleteFrom('store_owner').execute()
    const row = { id: 1, owner, host: hostname(), pid: process.pid, seen_at: now() }
    await transaction.insertInto('store_owner').values(row).execute()
  })
  ours.add(owner)

  let lost = false
  const beat = setInterval(async () => {
    try {
      const update = db.updateTable('store_owner').set({ seen_at: now() }).where('owner', '=', owner)
      const result = await update.executeTakeFirst()
      if (result.numUpdatedRows > 0n || lost) return
      lost = true
      options.onLost()
    } catch {
      // A busy or full disk; the next sign of life may succeed.
    }
  }, staleMs / 3)
  beat.unref()

  return {
    async release() {
      clearInterval(beat)
      ours.delete(owner)
      await db.deleteFrom('store_owner').where('owner', '=', owner).execute()
    },
  }
}

function isGone(holder: StoreOwnerTable, now: number, staleMs: number): boolean {
  if (now - holder.seen_at >= staleMs) return true
  if (holder.host !== hostname()) return false
  return holder.pid === process.pid ? !ours.has(holder.owner) : !isAlive(holder.pid)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Not allowed to signal it: then it is there.
    return (error as { code?: unknown }).code === 'EPERM'
  }
}

function inUse(holder: StoreOwnerTable): StoreError {
  const since = new Date(holder.seen_at).toISOString()
  return new StoreError(
    'STORE_IN_USE',
    `Process ${holder.pid} on ${holder.host} is using this store (seen ${since})`,
    {
      hint: 'Stop that process, or give this one a store of its own: an SQLite file serves one running bridge.',
      context: { pid: holder.pid, host: holder.host },
    },
  )
}
