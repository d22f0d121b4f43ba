import { CommandError } from '../../model/errors.ts'
import type { KnownPortal } from '../../model/portal.ts'
import type { TokenState } from '../../model/token.ts'
import { findPortal, listPortals } from '../../stores/queries/portals.ts'
import { listTokens } from '../../stores/queries/tokens.ts'
import { type KnownWebhook, listWebhooks } from '../../stores/queries/webhooks.ts'
import type { Store } from '../../stores/store.ts'

type Db = Store['db']

/** A portal with the ways to call it: tokens of applications, and webhooks. */
export interface PortalEntry {
  readonly domain: string
  /** Absent where only webhooks are known: they do not tell the portal's permanent id. */
  readonly portal?: KnownPortal
  readonly tokens: readonly TokenState[]
  readonly webhooks: readonly KnownWebhook[]
}

const PAGE = 500

/** Every portal of the store in the order of ids, then those that only webhooks tell of. */
export async function* eachPortal(db: Db): AsyncGenerator<PortalEntry> {
  const webhooks = new Set(await listWebhooks(db))
  for (let after = ''; ; ) {
    const page = await listPortals(db, { after, limit: PAGE })
    for (const portal of page) {
      const own = [...webhooks].filter((webhook) => belongs(webhook, portal))
      for (const webhook of own) webhooks.delete(webhook)
      yield await entryOf(db, portal, own)
    }
    if (page.length < PAGE) break
    after = page.at(-1)?.memberId ?? after
  }
  const byDomain = new Map<string, KnownWebhook[]>()
  for (const webhook of webhooks)
    byDomain.set(webhook.domain, [...(byDomain.get(webhook.domain) ?? []), webhook])
  for (const [domain, own] of byDomain) yield { domain, tokens: [], webhooks: own }
}

/** The portal of a member id, alias or domain. Throws a `CommandError` `PORTAL_UNKNOWN`. */
export async function findEntry(db: Db, name: string): Promise<PortalEntry> {
  const portal = await findPortal(db, name)
  if (portal !== undefined) {
    const webhooks = (await listWebhooks(db)).filter((webhook) => belongs(webhook, portal))
    return entryOf(db, portal, webhooks)
  }
  const webhooks = await listWebhooks(db, { portal: name })
  const [first] = webhooks
  if (first !== undefined) return { domain: first.domain, tokens: [], webhooks }
  throw new CommandError('PORTAL_UNKNOWN', `No portal is known as ${JSON.stringify(name.slice(0, 100))}.`, {
    status: 404,
    hint: '`b24-bridge portals list` shows them; name one by member id, domain or alias.',
  })
}

/** The portals that were named, or all. */
export async function* chosenPortals(db: Db, names: readonly string[]): AsyncGenerator<PortalEntry> {
  if (names.length === 0) yield* eachPortal(db)
  else for (const name of names) yield await findEntry(db, name)
}

function belongs(webhook: KnownWebhook, portal: KnownPortal): boolean {
  return webhook.memberId === undefined
    ? webhook.domain === portal.domain
    : webhook.memberId === portal.memberId
}

async function entryOf(db: Db, portal: KnownPortal, webhooks: readonly KnownWebhook[]): Promise<PortalEntry> {
  const { domain, memberId } = portal
  return { domain, portal, tokens: await listTokens(db, { memberId }), webhooks }
}
