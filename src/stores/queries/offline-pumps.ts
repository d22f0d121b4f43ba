import { type Kysely, sql } from 'kysely'
import type { OfflinePumpsTable, StoreTables } from '../schema.ts'
import { insertNew } from './insert-new.ts'

/** An application on a portal. */
export interface Source {
  readonly memberId: string
  readonly clientId: string
}

/** An offline queue that is to be drained. */
export interface Pump extends Source {
  readonly connector: string
  readonly scheme: OfflinePumpsTable['scheme']
  readonly schemeUntil: number
  readonly dueAt: number
  readonly idlePolls: number
  readonly trouble?: string
}

type Row = Pick<
  OfflinePumpsTable,
  'member_id' | 'client_id' | 'connector' | 'scheme' | 'scheme_until' | 'due_at' | 'idle_polls' | 'trouble'
>

/** The queues of an application on a portal, or of all its applications. */
export async function findPumps(
  db: Kysely<StoreTables>,
  { memberId, clientId }: Pick<Source, 'memberId'> & { readonly clientId?: string | undefined },
): Promise<Pump[]> {
  const ofPortal = db.selectFrom('offline_pumps').selectAll().where('member_id', '=', memberId)
  const wanted = clientId === undefined ? ofPortal : ofPortal.where('client_id', '=', clientId)
  const rows = await wanted.orderBy('client_id').orderBy('connector').execute()
  return rows.map(pumpOf)
}

/** A page of all queues, or of those of a portal, and where the next one begins. */
export async function listPumps(
  db: Kysely<StoreTables>,
  { memberId, after, limit }: { readonly memberId?: string; readonly after?: string; readonly limit: number },
): Promise<{ readonly pumps: Pump[]; readonly next?: string }> {
  let query = db.selectFrom('offline_pumps').selectAll()
  if (memberId !== undefined) query = query.where('member_id', '=', memberId)
  if (after !== undefined) query = query.where('id', '>', after)
  const rows = await query.orderBy('id').limit(limit).execute()
  const next = rows.length === limit ? rows.at(-1)?.id : undefined
  return { pumps: rows.map(pumpOf), ...(next === undefined ? {} : { next }) }
}

/** A queue is to be looked into at once. */
export async function duePump(
  db: Kysely<StoreTables>,
  queue: Source & { readonly connector: string },
): Promise<void> {
  await db.updateTable('offline_pumps').set({ due_at: 0 }).where('id', '=', pumpId(queue)).execute()
}

/** How many queues there are, and how many of them cannot be drained. */
export async function countPumps(db: Kysely<StoreTables>): Promise<{ all: number; troubled: number }> {
  const row = await db
    .selectFrom('offline_pumps')
    .select([sql<number>`count(*)`.as('all_of_them'), sql<number>`count(trouble)`.as('troubled')])
    .executeTakeFirstOrThrow()
  return { all: Number(row.all_of_them), troubled: Number(row.troubled) }
}

/** Queues that are due, the longest overdue first, each for the caller alone until `holdMs` have passed. */
export async function claimDuePumps(
  db: Kysely<StoreTables>,
  { now, limit, holdMs }: { readonly now: number; readonly limit: number; readonly holdMs: number },
): Promise<Pump[]> {
  const due = await db
    .selectFrom('offline_pumps')
    .selectAll()
    .where('due_at', '<=', now)
    .orderBy('due_at')
    .limit(limit)
    .execute()
  const claimed: Pump[] = []
  for (const row of due) {
    const result = await db
      .updateTable('offline_pumps')
      .set({ due_at: now + holdMs })
      .where('id', '=', row.id)
      .where('due_at', '=', row.due_at)
      .executeTakeFirst()
    if (result.numUpdatedRows > 0n) claimed.push(pumpOf(row))
  }
  return claimed
}

/** For the only process at the store: queues that a process before it was at are free, and due at once. */
export async function takeOverPumps(db: Kysely<StoreTables>): Promise<void> {
  const held = await db
    .selectFrom('leases')
    .select('name')
    .where('name', '>=', LEASES)
    .where('name', '<', LEASES_END)
    .where('owner', '<>', '')
    .execute()
  for (const { name } of held) {
    await db.updateTable('leases').set({ owner: '', until: 0 }).where('name', '=', name).execute()
    const id = name.slice(LEASES.length)
    await db.updateTable('offline_pumps').set({ due_at: 0 }).where('id', '=', id).execute()
  }
}

/** Names of the leases of queues begin so, and go on with the id of the queue. */
const LEASES = 'offline/'
const LEASES_END = 'offline0'

/** Writes what is known of a queue; none is made. */
export async function savePump(db: Kysely<StoreTables>, pump: Pump): Promise<void> {
  await db
    .updateTable('offline_pumps')
    .set({
      scheme: pump.scheme,
      scheme_until: pump.schemeUntil,
      due_at: Math.trunc(pump.dueAt),
      idle_polls: pump.idlePolls,
      trouble: pump.trouble?.slice(0, 100) ?? null,
    })
    .where('id', '=', pumpId(pump))
    .execute()
}

/** The queues that an application has: new ones are due now, missing ones go when they were found empty. */
export async function replacePumps(
  db: Kysely<StoreTables>,
  source: Source,
  { connectors, now }: { readonly connectors: readonly string[]; readonly now: number },
): Promise<void> {
  const rows = connectors.map((connector) => ({
    id: pumpId({ ...source, connector }),
    member_id: source.memberId,
    client_id: source.clientId,
    connector,
    scheme: 'unknown',
    scheme_until: 0,
    due_at: now,
    idle_polls: 0,
    trouble: null,
  }))
  await insertNew(db, 'offline_pumps', 'id', rows)
  for (const { connector, idlePolls, trouble } of await findPumps(db, source)) {
    if (connectors.includes(connector) || (idlePolls === 0 && trouble === undefined)) continue
    await db
      .deleteFrom('offline_pumps')
      .where('id', '=', pumpId({ ...source, connector }))
      .execute()
  }
}

/** Applications on portals, with tokens that work, whose handlers were not looked at since, for the caller alone. */
export async function claimUnseenSources(
  db: Kysely<StoreTables>,
  { since, now, limit }: { readonly since: number; readonly now: number; readonly limit: number },
): Promise<Source[]> {
  await noticeSources(db, limit)
  const old = await db
    .selectFrom('offline_sources')
    .selectAll()
    .where('seen_at', '<', since)
    .orderBy('seen_at')
    .limit(limit)
    .execute()
  const claimed: Source[] = []
  for (const row of old) {
    const source = { memberId: row.member_id, clientId: row.client_id }
    const result = await db
      .updateTable('offline_sources')
      .set({ seen_at: now })
      .where('id', '=', row.id)
      .where('seen_at', '=', row.seen_at)
      .executeTakeFirst()
    if (result.numUpdatedRows === 0n) continue
    if (await hasTokens(db, source)) claimed.push(source)
    else await forgetSource(db, source)
  }
  return claimed
}

/** Notes when the handlers of an application on a portal were looked at; 0 asks for another look at once. */
export async function noteSeen(db: Kysely<StoreTables>, source: Source, seenAt: number): Promise<void> {
  await insertNew(db, 'offline_sources', 'id', [sourceRow(source)])
  await db
    .updateTable('offline_sources')
    .set({ seen_at: seenAt })
    .where('id', '=', sourceId(source))
    .execute()
}

/** Installations that are new since the last time. */
async function noticeSources(db: Kysely<StoreTables>, limit: number): Promise<void> {
  const fresh = await db
    .selectFrom('tokens')
    .leftJoin('offline_sources', (join) =>
      join
        .onRef('offline_sources.member_id', '=', 'tokens.member_id')
        .onRef('offline_sources.client_id', '=', 'tokens.client_id'),
    )
    .select(['tokens.member_id as memberId', 'tokens.client_id as clientId'])
    .distinct()
    .where('tokens.state', '=', 'active')
    .where('offline_sources.id', 'is', null)
    .limit(limit)
    .execute()
  await insertNew(db, 'offline_sources', 'id', fresh.map(sourceRow))
}

async function hasTokens(db: Kysely<StoreTables>, { memberId, clientId }: Source): Promise<boolean> {
  const row = await db
    .selectFrom('tokens')
    .select('id')
    .where('member_id', '=', memberId)
    .where('client_id', '=', clientId)
    .where('state', '=', 'active')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** Without tokens nothing can be drained; an installation that comes back is noticed as a new one. */
export async function forgetSource(db: Kysely<StoreTables>, source: Source): Promise<void> {
  const { memberId, clientId } = source
  await db
    .deleteFrom('offline_pumps')
    .where('member_id', '=', memberId)
    .where('client_id', '=', clientId)
    .execute()
  await db.deleteFrom('offline_sources').where('id', '=', sourceId(source)).execute()
}

const sourceId = ({ memberId, clientId }: Source): string => `${memberId}/${clientId}`
const pumpId = ({ memberId, clientId, connector }: Source & { readonly connector: string }): string =>
  `${memberId}/${clientId}/${connector}`

function sourceRow(source: Source) {
  return {
    id: sourceId(source),
    member_id: source.memberId,
    client_id: source.clientId,
    seen_at: 0,
  }
}

function pumpOf(row: Row): Pump {
  return {
    memberId: row.member_id,
    clientId: row.client_id,
    connector: row.connector,
    scheme: row.scheme,
    schemeUntil: row.scheme_until,
    dueAt: row.due_at,
    idlePolls: row.idle_polls,
    ...(row.trouble === null ? {} : { trouble: row.trouble }),
  }
}
