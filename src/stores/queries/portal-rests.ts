import { createHash } from 'node:crypto'
import { type Kysely, sql } from 'kysely'
import { moment } from '../dialects/engine.ts'
import type { StoreTables } from '../schema.ts'

/** What a portal wants to be left alone with, and for how long. */
export interface PortalRest {
  readonly domain: string
  /** Absent: everything. */
  readonly method?: string
  /** With a method: fingerprint of the credential. */
  readonly credential?: string
  readonly code: string
  /** From now on, by the clock of the database. */
  readonly ms: number
}

/** Writes a rest down, over an earlier one of the same portal and method. */
export async function savePortalRest(db: Kysely<StoreTables>, rest: PortalRest): Promise<void> {
  const { domain, method = null, credential = null, code, ms } = rest
  const values = { code, until: sql<number>`${moment(db, undefined)} + ${sql.lit(Math.trunc(ms))}` }
  const id = createHash('sha256')
    .update(JSON.stringify([domain, method, credential]))
    .digest('base64url')
  await db
    .insertInto('portal_rests')
    .values({ id, domain, method, credential, ...values })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
    .execute()
}

/** The portal answers again; rests of single methods stay. */
export async function endPortalRest(db: Kysely<StoreTables>, domain: string): Promise<void> {
  await db.deleteFrom('portal_rests').where('domain', '=', domain).where('method', 'is', null).execute()
}

/** All rests that hold now; those that are over are forgotten. */
export async function listPortalRests(db: Kysely<StoreTables>): Promise<PortalRest[]> {
  const now = moment(db, undefined)
  const rows = await db
    .selectFrom('portal_rests')
    .select(['domain', 'method', 'credential', 'code'])
    .select(sql<number>`${sql.ref('until')} - ${now}`.as('ms'))
    .execute()
  const held = rows.filter(({ ms }) => Number(ms) > 0)
  if (held.length < rows.length) await db.deleteFrom('portal_rests').where('until', '<=', now).execute()
  return held.map(({ domain, method, credential, code, ms }) => ({
    domain,
    code,
    ms: Number(ms),
    ...(method === null ? {} : { method }),
    ...(credential === null ? {} : { credential }),
  }))
}
