import { CommandError } from '../../model/errors.ts'
import type { KnownPortal } from '../../model/portal.ts'
import type { TokenState } from '../../model/token.ts'
import { findPortal, listPortals, removePortal } from '../../stores/queries/portals.ts'
import { listTokens } from '../../stores/queries/tokens.ts'
import { type KnownWebhook, listWebhooks, removeWebhook } from '../../stores/queries/webhooks.ts'
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
  const webhooks = new Map<string, KnownWebhook[]>()
  for (const webhook of await listWebhooks(db)) {
    const place = placeOf(webhook)
    webhooks.set(place, [...(webhooks.get(place) ?? []), webhook])
  }
  for (let after = ''; ; ) {
    const page = await listPortals(db, { after, limit: PAGE })
    const entries = page.map((portal) => {
      const places = [portal.memberId, portal.domain]
      const own = places.flatMap((place) => webhooks.get(place) ?? [])
      return entryOf(db, portal, own)
    })
    yield* await Promise.all(entries)
    for (const { memberId, domain } of page) for (const place of [memberId, domain]) webhooks.delete(place)
    if (page.length < PAGE) break
    after = page.at(-1)?.memberId ?? after
  }
  for (const [domain, own] of webhooks) yield { domain: own[0]?.domain ?? domain, tokens: [], webhooks: own }
}

/** The portal of a member id, alias or domain. Throws a `CommandError` `PORTAL_UNKNOWN`. */
export async function findEntry(db: Db, name: string): Promise<PortalEntry> {
  const portal = await findPortal(db, name)
  if (portal !== undefined) {
    const places = [portal.memberId, portal.domain]
    const webhooks = (await listWebhooks(db)).filter((webhook) => places.includes(placeOf(webhook)))
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

/** Forgets a portal, with the webhooks that only its domain tells of. */
export async function removeEntry(db: Db, { portal, webhooks }: PortalEntry): Promise<void> {
  for (const { id } of webhooks) await removeWebhook(db, id)
  if (portal !== undefined) await removePortal(db, portal.memberId)
}

/** Under what a webhook is found: the portal's id where it is known. */
function placeOf({ memberId, domain }: KnownWebhook): string {
  return memberId ?? domain
}

async function entryOf(db: Db, portal: KnownPortal, webhooks: readonly KnownWebhook[]): Promise<PortalEntry> {
  const { domain, memberId } = portal
  return { domain, portal, tokens: await listTokens(db, { memberId }), webhooks }
}
