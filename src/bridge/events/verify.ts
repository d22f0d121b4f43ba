import { timingSafeEqual } from 'node:crypto'
import { isHandlerKey } from './handler-url.ts'
import type { PortalCard, PortalCards } from './store.ts'

/** Whom an event request claims to come from, and by what it would prove it. */
export interface Origin {
  /** Of the form's `auth`; absent where the portal fills nothing in. */
  readonly memberId?: string
  readonly applicationToken?: string
  /** `portal` and `key` of the handler's address. */
  readonly handler?: { readonly memberId: string; readonly key: string }
}

/** A portal that proved itself. */
export interface Proven {
  readonly memberId: string
  readonly domain: string
  /** The application whose token it was; absent for an outgoing webhook and for a key in the address. */
  readonly clientId?: string
  /** For a key in the address: the portal's application, where it is known to have exactly one. */
  readonly onlyClientId?: string
}

export interface EventVerifier {
  /** `undefined` when nothing is proven. Rejects with a `StoreError` when nobody can tell. */
  verify(origin: Origin): Promise<Proven | undefined>
  /** What is stored of this portal has changed. */
  forget(memberId: string): void
}

/** What is known of a portal is believed this long. */
const BELIEVED_MS = 10_000
/** Before a request is refused, what is known is read again, if it is older than this: a token may have been added. */
const DOUBTED_MS = 1000
const MOST_CARDS = 10_000
/** Names that nobody knows are remembered apart: anybody can make them up, and they must not push out those of portals. */
const MOST_STRANGERS = 10_000

interface Entry {
  readonly card: Promise<PortalCard | undefined>
  readonly readAt: number
}

/**
 * Verifies event requests: by the application token, compared as a fingerprint in constant time with all those of the
 * portal; without one in the form, by the key in the handler's address. A token that does not fit is never outweighed by
 * a key that does. After the last application of a portal was uninstalled nothing of it is accepted.
 *
 * Portals are remembered for ten seconds, and for as long as the store is away; refusals cost at most one question a second and portal at the store.
 *
 * https://apidocs.bitrix24.com/api-reference/events/safe-event-handlers.html
 */
export function createEventVerifier(store: PortalCards, now: () => number): EventVerifier {
  const cards = new Map<string, Entry>()
  const strangers = new Map<string, Entry>()

  const find = (memberId: string): Entry | undefined => cards.get(memberId) ?? strangers.get(memberId)

  function read(memberId: string): Promise<PortalCard | undefined> {
    const older = find(memberId)
    // While the store is away, what was known of a portal counts.
    const card = store.card(memberId).catch((error: unknown) => {
      if (older === undefined) throw error
      return older.card
    })
    const entry = { card, readAt: now() }
    const isKnown = cards.delete(memberId)
    strangers.delete(memberId)
    if (isKnown) remember(cards, MOST_CARDS, memberId, entry)
    else remember(strangers, MOST_STRANGERS, memberId, entry)
    card.then(
      (found) => {
        if (found === undefined || strangers.get(memberId) !== entry) return
        strangers.delete(memberId)
        remember(cards, MOST_CARDS, memberId, entry)
      },
      () => {
        if (find(memberId) === entry) forget(memberId)
      },
    )
    return card
  }

  function forget(memberId: string): void {
    cards.delete(memberId)
    strangers.delete(memberId)
  }

  async function check(memberId: string, fits: (card: PortalCard) => Proven | undefined) {
    const known = find(memberId)
    const ageMs = known === undefined ? Number.POSITIVE_INFINITY : now() - known.readAt
    const card = await (known !== undefined && ageMs < BELIEVED_MS ? known.card : read(memberId))
    const proven = card && fits(card)
    if (proven !== undefined || ageMs < DOUBTED_MS || ageMs >= BELIEVED_MS) return proven
    // Many may be refused at once: one of them asks.
    const newer = find(memberId)
    const again = await (newer !== undefined && newer !== known ? newer.card : read(memberId))
    return again && fits(again)
  }

  function byToken(memberId: string, token: string) {
    const wanted = Buffer.from(store.tokenFingerprint(memberId, token))
    return check(memberId, ({ domain, tokens }) => {
      let found: PortalCard['tokens'][number] | undefined
      for (const one of tokens) {
        const known = Buffer.from(one.fingerprint)
        if (known.length === wanted.length && timingSafeEqual(known, wanted)) found = one
      }
      if (found === undefined) return undefined
      return { memberId, domain, ...(found.clientId === undefined ? {} : { clientId: found.clientId }) }
    })
  }

  return {
    async verify({ memberId, applicationToken, handler }) {
      if (applicationToken !== undefined) {
        return memberId === undefined ? undefined : byToken(memberId, applicationToken)
      }
      if (handler === undefined || (memberId !== undefined && memberId !== handler.memberId)) return undefined
      const portal = handler.memberId
      if (!isHandlerKey(portal, handler.key, (text) => store.sign(text))) return undefined
      return check(portal, ({ domain, state, tokens }) => {
        if (state === 'suspended' && tokens.length === 0) return undefined
        const [first, ...others] = new Set(tokens.flatMap(({ clientId }) => clientId ?? []))
        const only = others.length === 0 ? first : undefined
        return { memberId: portal, domain, ...(only === undefined ? {} : { onlyClientId: only }) }
      })
    },
    forget,
  }
}

function remember(entries: Map<string, Entry>, most: number, memberId: string, entry: Entry): void {
  entries.set(memberId, entry)
  if (entries.size > most) entries.delete(entries.keys().next().value as string)
}
