import type { Kysely, Selectable } from 'kysely'
import { parseWebhook } from '../../model/webhook.ts'
import type { StoreTables, WebhooksTable } from '../schema.ts'
import type { Secrets } from '../secrets.ts'

/** An incoming webhook without its address, which is a credential. */
export interface KnownWebhook {
  /** Stays the same for the same address. */
  readonly id: string
  readonly domain: string
  readonly userId: string
  readonly name: string
  readonly memberId?: string
  readonly createdAt: number
}

/** Keeps a webhook and gives its id. The same address twice is one webhook, under the later name. */
export async function saveWebhook(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  webhook: { readonly url: string; readonly name: string; readonly memberId?: string },
  now: number,
): Promise<string> {
  const { origin, domain, root, userId, secret } = parseWebhook(webhook.url)
  const url = `${origin}${root}/${userId}/${secret}/`
  const id = secrets.fingerprint(JSON.stringify(['webhook', url]))
  const values = {
    name: webhook.name,
    url: secrets.seal(place(id), url),
    ...(webhook.memberId === undefined ? {} : { member_id: webhook.memberId }),
  }
  await db
    .insertInto('webhooks')
    .values({ id, member_id: null, domain, user_id: userId, created_at: now, ...values })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(values))
    .execute()
  return id
}

/** The address of a webhook, or `undefined`. */
export async function findWebhookUrl(
  db: Kysely<StoreTables>,
  secrets: Secrets,
  id: string,
): Promise<string | undefined> {
  const row = await db.selectFrom('webhooks').select('url').where('id', '=', id).executeTakeFirst()
  return row && secrets.open(place(id), row.url)
}

/** Webhooks without their addresses, the oldest first; of one portal when its domain or id is given. */
export async function listWebhooks(
  db: Kysely<StoreTables>,
  { portal }: { readonly portal?: string } = {},
): Promise<KnownWebhook[]> {
  let query = db.selectFrom('webhooks').selectAll()
  if (portal !== undefined) {
    query = query.where((where) =>
      where.or([where('domain', '=', portal.toLowerCase()), where('member_id', '=', portal)]),
    )
  }
  return (await query.orderBy('created_at').orderBy('id').execute()).map(webhookOf)
}

/** Forgets a webhook. False when it was not known. */
export async function removeWebhook(db: Kysely<StoreTables>, id: string): Promise<boolean> {
  const result = await db.deleteFrom('webhooks').where('id', '=', id).executeTakeFirst()
  return result.numDeletedRows > 0n
}

function place(id: string): { table: string; row: string; column: string } {
  return { table: 'webhooks', row: id, column: 'url' }
}

function webhookOf(row: Selectable<WebhooksTable>): KnownWebhook {
  return {
    id: row.id,
    domain: row.domain,
    userId: row.user_id,
    name: row.name,
    ...(row.member_id === null ? {} : { memberId: row.member_id }),
    createdAt: row.created_at,
  }
}
