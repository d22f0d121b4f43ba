import { type Kysely, sql } from 'kysely'
import { engineOf, moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'
import { GONE_MS } from './instances.ts'

/** What is known of a message that is being tried, or was when its process died. */
export interface Trial {
  /** The process that has, or had, it in hand. */
  readonly owner: string
  /** Processes that died of it before. */
  readonly deaths: number
  /** Others were begun beside it. */
  readonly crowded: boolean
  /** Its owner has ended without ending the trial. */
  readonly gone: boolean
}

type Db = Kysely<StoreTables>

/** The trial of a message; `me` is the process that asks. Where only one process can be at the store, all others are gone. */
export async function findTrial(db: Db, id: string, me: string): Promise<Trial | undefined> {
  const row = await db.selectFrom('trials').selectAll().where('id', '=', id).executeTakeFirst()
  if (row === undefined) return undefined
  const { owner, deaths, crowded } = row
  const gone = owner !== me && !(engineOf(db).shared && (await isAlive(db, owner)))
  return { owner, deaths, crowded: crowded === 1, gone }
}

async function isAlive(db: Db, owner: string): Promise<boolean> {
  const seen = await db
    .selectFrom('instances')
    .select('owner')
    .where('owner', '=', owner)
    .where('seen_at', '>', sql<number>`${moment(db, undefined)} - ${sql.lit(GONE_MS)}`)
    .executeTakeFirst()
  return seen !== undefined
}

/** This process takes it in hand, whoever had it before. */
export async function beginTrial(
  db: Db,
  trial: { readonly id: string; readonly owner: string; readonly deaths: number; readonly now: number },
): Promise<void> {
  const { id, owner, deaths, now } = trial
  const values = { owner, deaths, crowded: 0, seen_at: now }
  await db
    .insertInto('trials')
    .values({ id, ...values })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
    .execute()
}

/** From now on others are begun beside it. */
export async function crowdTrial(db: Db, id: string, owner: string): Promise<void> {
  await db.updateTable('trials').set({ crowded: 1 }).where('id', '=', id).where('owner', '=', owner).execute()
}

/** Its process has survived it; without effect when another one has it in hand by now. */
export async function endTrial(db: Db, id: string, owner: string): Promise<void> {
  await db.deleteFrom('trials').where('id', '=', id).where('owner', '=', owner).execute()
}

/** The process ends in order: what it has in hand is not to blame for it. */
export async function endTrials(db: Db, owner: string): Promise<void> {
  await db.deleteFrom('trials').where('owner', '=', owner).execute()
}

/** Forgets messages that never came again. */
export async function pruneTrials(db: Db, before: number): Promise<void> {
  await db.deleteFrom('trials').where('seen_at', '<', before).execute()
}
