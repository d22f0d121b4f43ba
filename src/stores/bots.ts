import type { Kysely } from 'kysely'
import { listLeases, releaseLease, renewLease, takeLease } from './queries/leases.ts'
import type { StoreTables } from './schema.ts'

/** The store as fetching the events of bots wants it. */
export function botRecords(db: Kysely<StoreTables>) {
  return {
    leases: {
      take: (request: Parameters<typeof takeLease>[1]) => takeLease(db, request),
      renew: (lease: Parameters<typeof renewLease>[1], ttlMs: number) => renewLease(db, lease, ttlMs),
      release: (lease: Parameters<typeof releaseLease>[1]) => releaseLease(db, lease),
    },
    sources: () => listBotSources(db),
    leased: async (prefix: string) => new Set((await listLeases(db, prefix)).map(({ name }) => name)),
  }
}

/** Subscriptions that were applied to a portal with bots to be fetched for, where a pair works and the portal is called. */
async function listBotSources(
  db: Kysely<StoreTables>,
): Promise<{ memberId: string; clientId: string; codes: string[] }[]> {
  const rows = await db
    .selectFrom('subscriptions')
    .innerJoin('portals', 'portals.member_id', 'subscriptions.member_id')
    .select(['subscriptions.member_id', 'subscriptions.client_id', 'subscriptions.document'])
    .where('portals.state', '=', 'active')
    .where('subscriptions.document', 'like', '%"fetch":true%')
    .where((where) =>
      where.exists(
        where
          .selectFrom('tokens')
          .select('tokens.id')
          .whereRef('tokens.member_id', '=', 'subscriptions.member_id')
          .whereRef('tokens.client_id', '=', 'subscriptions.client_id')
          .where('tokens.state', '=', 'active'),
      ),
    )
    .execute()
  return rows.flatMap((row) => {
    const codes = fetched(row.document)
    return codes.length === 0 ? [] : [{ memberId: row.member_id, clientId: row.client_id, codes }]
  })
}

function fetched(document: string): string[] {
  const { bots = [] } = JSON.parse(document) as {
    readonly bots?: readonly { code: string; fetch?: boolean }[]
  }
  return bots.filter((bot) => bot.fetch === true).map(({ code }) => code.toLowerCase())
}
