import { setTimeout as sleep } from 'node:timers/promises'
import type { Kysely } from 'kysely'
import { StoreError } from '../../model/errors.ts'
import { moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'
import { insertNew } from './insert-new.ts'

/** The right to be the only process doing something, until a moment. */
export interface Lease {
  readonly name: string
  readonly owner: string
  /** Milliseconds since 1970 by the clock that was used: the database's, unless a moment was given. */
  readonly until: number
  /** Rises with every new holder: what is written under an older number can be told and refused. */
  readonly fence: number
}

export interface LeaseRequest {
  readonly name: string
  /** Who asks; different for each process. */
  readonly owner: string
  readonly ttlMs: number
  /** The moment to reckon from; the database's own clock unless given. */
  readonly now?: number
}

/** Takes a lease that is free or has run out. `undefined` while another holds it; its own holder gets it again, with a new fence. */
export async function takeLease(db: Kysely<StoreTables>, request: LeaseRequest): Promise<Lease | undefined> {
  const { name, owner, ttlMs } = request
  const now = moment(db, request.now)
  await insertNew(db, 'leases', 'name', [{ name, owner: '', until: 0, fence: 0 }])
  const taken = await db
    .updateTable('leases')
    .set((set) => ({ owner, until: set(now, '+', ttlMs), fence: set('fence', '+', 1) }))
    .where('name', '=', name)
    .where((where) => where.or([where('until', '<=', now), where('owner', '=', owner)]))
    .executeTakeFirst()
  return taken.numUpdatedRows === 0n ? undefined : findOwn(db, name, owner)
}

/** Holds it for longer. `undefined` when it ran out and another took it, or was given back: stop at once. */
export async function renewLease(
  db: Kysely<StoreTables>,
  lease: Pick<Lease, 'name' | 'owner' | 'fence'>,
  ttlMs: number,
  now?: number,
): Promise<Lease | undefined> {
  const renewed = await db
    .updateTable('leases')
    .set((set) => ({ until: set(moment(db, now), '+', ttlMs) }))
    .where('name', '=', lease.name)
    .where('owner', '=', lease.owner)
    .where('fence', '=', lease.fence)
    .executeTakeFirst()
  return renewed.numUpdatedRows === 0n ? undefined : findOwn(db, lease.name, lease.owner)
}

/** Gives it back. One that another holds stays with the other. */
export async function releaseLease(
  db: Kysely<StoreTables>,
  lease: Pick<Lease, 'name' | 'owner' | 'fence'>,
): Promise<void> {
  await db
    .updateTable('leases')
    .set({ owner: '', until: 0 })
    .where('name', '=', lease.name)
    .where('owner', '=', lease.owner)
    .where('fence', '=', lease.fence)
    .execute()
}

/** Gives back whatever this owner holds under the name. */
export async function releaseOwnLease(db: Kysely<StoreTables>, name: string, owner: string): Promise<void> {
  await db
    .updateTable('leases')
    .set({ owner: '', until: 0 })
    .where('name', '=', name)
    .where('owner', '=', owner)
    .execute()
}

/**
 * Runs the work while nobody else has the lease, and gives it back. Waits for another holder, four seconds at most; rejects
 * with a `StoreError` `STORE_BUSY` after that.
 */
export async function underLease<T>(
  db: Kysely<StoreTables>,
  request: LeaseRequest,
  work: () => Promise<T>,
): Promise<T> {
  for (let tries = 0; tries < 20; tries++) {
    const lease = await takeLease(db, request)
    if (lease !== undefined) return await work().finally(() => releaseLease(db, lease).catch(() => undefined))
    await sleep(200)
  }
  throw new StoreError('STORE_BUSY', `Another process holds "${request.name}"`)
}

async function findOwn(db: Kysely<StoreTables>, name: string, owner: string): Promise<Lease | undefined> {
  return db
    .selectFrom('leases')
    .selectAll()
    .where('name', '=', name)
    .where('owner', '=', owner)
    .executeTakeFirst()
}

/** Holds all leases of an owner whose names begin so for longer, those that ran out and nobody took included. */
export async function renewLeases(
  db: Kysely<StoreTables>,
  { prefix, owner, ttlMs }: { readonly prefix: string; readonly owner: string; readonly ttlMs: number },
): Promise<void> {
  await db
    .updateTable('leases')
    .set((set) => ({ until: set(moment(db, undefined), '+', ttlMs) }))
    .where('owner', '=', owner)
    .where('name', '>=', prefix)
    .where('name', '<', after(prefix))
    .execute()
}

/** The leases whose names begin so that somebody holds now. */
export async function listLeases(
  db: Kysely<StoreTables>,
  prefix: string,
): Promise<Pick<Lease, 'name' | 'owner'>[]> {
  return db
    .selectFrom('leases')
    .select(['name', 'owner'])
    .where('name', '>=', prefix)
    .where('name', '<', after(prefix))
    .where('until', '>', moment(db, undefined))
    .execute()
}

/** Behind all names that begin so; names may hold `_` and `%`, which LIKE reads as wildcards. */
function after(prefix: string): string {
  return `${prefix.slice(0, -1)}${String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1)}`
}
