import { type Kysely, sql } from 'kysely'
import type { Address, ExchangeSpec, Message } from '../broker.ts'
import { exchangeMissing } from '../errors.ts'
import { bindingMatches } from '../topology.ts'
import { encodeProperties } from './message.ts'
import { DELAYED, type EmbeddedTables, LEASED, type MessageRow, READY } from './tables.ts'

export type EmbeddedDatabase = Kysely<EmbeddedTables>

// States stand in the statements as literals: SQLite uses a partial index only when it can see the condition.
// https://www.sqlite.org/partialindex.html#queries_using_partial_indexes
const ready = sql<boolean>`state = ${sql.lit(READY)}`
const leased = sql<boolean>`state = ${sql.lit(LEASED)}`
const delayed = sql<boolean>`state = ${sql.lit(DELAYED)}`

const ROWS_AN_INSERT = 100

/** Finds the queues for many addresses with as few questions as possible; the answers hold within one transaction. */
export class Router {
  readonly #db: EmbeddedDatabase
  readonly #known = new Map<string, readonly string[] | Error>()

  constructor(db: EmbeddedDatabase) {
    this.#db = db
  }

  /** The queues that a message goes to; none is not an error here, a missing exchange is. */
  async queuesFor(address: Address): Promise<readonly string[] | Error> {
    const key = JSON.stringify([address.exchange, address.routingKey])
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const found = await this.#find(address)
    this.#known.set(key, found)
    return found
  }

  async #find({ exchange, routingKey }: Address): Promise<readonly string[] | Error> {
    if (exchange === '') return (await queueExists(this.#db, routingKey)) ? [routingKey] : []
    const found = await findExchange(this.#db, exchange)
    if (found === undefined) return exchangeMissing(exchange)
    const bindings = await this.#db
      .selectFrom('embedded_bindings')
      .selectAll()
      .where('exchange', '=', exchange)
      .execute()
    const type = found.type as ExchangeSpec['type']
    const matching = bindings.filter((binding) => bindingMatches(type, binding.routing_key, routingKey))
    return [...new Set(matching.map((binding) => binding.queue))]
  }
}

export async function queueExists(db: EmbeddedDatabase, name: string): Promise<boolean> {
  return (
    (await db.selectFrom('embedded_queues').select('name').where('name', '=', name).executeTakeFirst()) !==
    undefined
  )
}

export function findExchange(db: EmbeddedDatabase, name: string): Promise<{ type: string } | undefined> {
  return db
    .selectFrom('embedded_exchanges')
    .select(['type', 'durable'])
    .where('name', '=', name)
    .executeTakeFirst()
}

/** The rows for one message, one a queue. */
export function rowsFor(
  message: Message,
  address: Address,
  queues: readonly string[],
  now: number,
): MessageRow[] {
  const lifetimeMs = message.expiration === undefined ? Number.NaN : Number(message.expiration)
  const properties = encodeProperties(message)
  return queues.map((queue) => ({
    id: null,
    queue,
    state: READY,
    priority: message.priority ?? 0,
    exchange: address.exchange,
    routing_key: address.routingKey,
    properties,
    body: message.body,
    delivery_count: 0,
    visible_at: now,
    expires_at: Number.isFinite(lifetimeMs) ? now + lifetimeMs : null,
    owner: null,
    lease_until: null,
  }))
}

export async function insertMessages(db: EmbeddedDatabase, rows: readonly MessageRow[]): Promise<void> {
  for (let start = 0; start < rows.length; start += ROWS_AN_INSERT) {
    await db
      .insertInto('embedded_messages')
      // The number is left to the database.
      .values(rows.slice(start, start + ROWS_AN_INSERT).map(({ id: _, ...row }) => row))
      .execute()
  }
}

export interface Lease {
  readonly queue: string
  readonly most: number
  readonly owner: string
  readonly until: number
  readonly now: number
}

/** Takes the next messages of a queue: higher priority first, then in order of arrival. */
export async function leaseMessages(db: EmbeddedDatabase, lease: Lease): Promise<MessageRow[]> {
  const rows = db.getExecutor().adapter.supportsReturning
    ? await leaseAtOnce(db, lease)
    : await inTransaction(db, (transaction) => leaseInTwoSteps(transaction, lease))
  // The order in which a changed row is returned is not promised.
  return rows.sort((a, b) => b.priority - a.priority || a.id! - b.id!)
}

function leaseAtOnce(db: EmbeddedDatabase, lease: Lease): Promise<MessageRow[]> {
  return markLeased(db, lease)
    .where('id', 'in', nextMessages(db, lease).select('id'))
    .returningAll()
    .execute()
}

/** For databases that do not hand out what an update has changed. */
async function leaseInTwoSteps(db: EmbeddedDatabase, lease: Lease): Promise<MessageRow[]> {
  const rows = await nextMessages(db, lease).selectAll().execute()
  const ids = rows.map((row) => row.id!)
  for (const some of idGroups(ids)) await markLeased(db, lease).where('id', 'in', some).execute()
  return rows.map((row) => ({
    ...row,
    state: LEASED,
    owner: lease.owner,
    lease_until: lease.until,
    delivery_count: row.delivery_count + 1,
  }))
}

function nextMessages(db: EmbeddedDatabase, { queue, most, now }: Lease) {
  return (
    db
      .selectFrom('embedded_messages')
      .where('queue', '=', queue)
      .where(ready)
      .where((where) => where.or([where('expires_at', 'is', null), where('expires_at', '>', now)]))
      .orderBy('priority', 'desc')
      .orderBy('id')
      .limit(most)
      // What another process is just taking is passed over. Where a writer has the whole file this says nothing.
      .forUpdate()
      .skipLocked()
  )
}

function markLeased(db: EmbeddedDatabase, { owner, until }: Lease) {
  return db
    .updateTable('embedded_messages')
    .set({ state: LEASED, owner, lease_until: until })
    .set((set) => ({ delivery_count: set('delivery_count', '+', 1) }))
}

function inTransaction<T>(db: EmbeddedDatabase, act: (db: EmbeddedDatabase) => Promise<T>): Promise<T> {
  return db.isTransaction ? act(db) : db.transaction().execute(act)
}

/** Removes settled messages; those whose lease went to another owner stay. */
export async function deleteLeased(
  db: EmbeddedDatabase,
  owner: string,
  ids: readonly number[],
): Promise<void> {
  for (const some of idGroups(ids)) {
    await db.deleteFrom('embedded_messages').where('id', 'in', some).where('owner', '=', owner).execute()
  }
}

/** Hands messages back, to be ready at `visibleAt`. */
export async function returnLeased(
  db: EmbeddedDatabase,
  owner: string,
  ids: readonly number[],
  visibleAt: number,
  now: number,
): Promise<void> {
  const free = { state: visibleAt > now ? DELAYED : READY, owner: null, lease_until: null }
  for (const some of idGroups(ids)) {
    await db
      .updateTable('embedded_messages')
      .set({ ...free, visible_at: visibleAt })
      .where('id', 'in', some)
      .where('owner', '=', owner)
      .execute()
  }
}

/** Frees what this owner, or with `others` everybody else, holds. */
export async function releaseLeases(db: EmbeddedDatabase, owner: string, others: boolean): Promise<void> {
  await db
    .updateTable('embedded_messages')
    .set({ state: READY, owner: null, lease_until: null })
    .where(leased)
    .where('owner', others ? '!=' : '=', owner)
    .execute()
}

export async function renewLeases(db: EmbeddedDatabase, owner: string, until: number): Promise<void> {
  await db
    .updateTable('embedded_messages')
    .set({ lease_until: until })
    .where(leased)
    .where('owner', '=', owner)
    .execute()
}

/** What time alone changes: delays end, lives end, leases of owners who are gone end. */
export async function passTime(db: EmbeddedDatabase, owner: string, now: number): Promise<void> {
  await db
    .updateTable('embedded_messages')
    .set({ state: READY })
    .where(delayed)
    .where('visible_at', '<=', now)
    .execute()
  await db
    .deleteFrom('embedded_messages')
    .where('expires_at', '<=', now)
    .where('state', '!=', LEASED)
    .execute()
  await db
    .updateTable('embedded_messages')
    .set({ state: READY, owner: null, lease_until: null })
    .where(leased)
    .where('owner', '!=', owner)
    .where('lease_until', '<=', now)
    .execute()
}

/** Messages of a queue that nobody has been handed. */
export async function countMessages(db: EmbeddedDatabase, queue: string): Promise<number> {
  const row = await db
    .selectFrom('embedded_messages')
    .select((count) => count.fn.countAll<number>().as('messages'))
    .where('queue', '=', queue)
    .where('state', '!=', LEASED)
    .executeTakeFirstOrThrow()
  return Number(row.messages)
}

/** Deletes the messages that nobody has been handed. */
export async function purgeMessages(db: EmbeddedDatabase, queue: string): Promise<number> {
  const result = await db
    .deleteFrom('embedded_messages')
    .where('queue', '=', queue)
    .where('state', '!=', LEASED)
    .executeTakeFirst()
  return Number(result.numDeletedRows)
}

const MOST_IDS = 512

/** In groups of few sizes, the last id repeated, so that the database meets the same statements again. */
function* idGroups(ids: readonly number[]): Generator<number[]> {
  for (let start = 0; start < ids.length; start += MOST_IDS) {
    const group = ids.slice(start, start + MOST_IDS)
    const size = 2 ** Math.ceil(Math.log2(group.length))
    while (group.length < size) group.push(group.at(-1)!)
    yield group
  }
}
