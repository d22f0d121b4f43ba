import type { Delivery } from '../../brokers/broker.ts'

/** What is in hand at a moment. */
export interface Held {
  /** For this portal, the delivery that is asked about included. */
  readonly held: number
  /** For all portals. */
  readonly all: number
}

/** Commands that a portal may hold while the prefetch is half empty and the portal cannot be called. */
const BLOCKED_SHARE = 10
/** What a portal may hold when the second half of the prefetch begins to fill, and when it is full. */
const CROWDED_SHARE = { most: 10, least: 3 }

/**
 * How many commands a portal may hold of a queue that other portals use too; what comes beyond that is to stand aside.
 *
 * | the prefetch is | a portal that answers | one that cannot be called |
 * | --- | --- | --- |
 * | at most half full | half of it | 10 |
 * | fuller | 10, falling to 3 as it fills | none |
 *
 * So a portal alone is never held up, and it takes more than a tenth of the prefetch in portals that hang at the same
 * moment before others wait for them. A crowd of quick portals holds one or two commands each and stays below.
 */
export function mayHold(
  { all }: Pick<Held, 'all'>,
  { prefetch, isBlocked }: { readonly prefetch: number; readonly isBlocked: boolean },
): number {
  const half = Math.max(1, Math.floor(prefetch / 2))
  if (all <= half) return isBlocked ? Math.min(BLOCKED_SHARE, half) : half
  if (isBlocked) return 0
  const room = Math.max(0, prefetch - all) / (prefetch - half)
  return Math.min(half, Math.max(CROWDED_SHARE.least, Math.floor(CROWDED_SHARE.most * room)))
}

/** Counts the deliveries in hand by the portal that they are for. */
export class HeldByPortal {
  readonly #counts = new Map<string, number>()
  readonly #domains = new Map<Delivery, string>()

  /** One more for this portal; how many there are now. */
  take(delivery: Delivery, domain: string): Held {
    // One that is tried again counts once.
    this.letGo(delivery)
    const held = (this.#counts.get(domain) ?? 0) + 1
    this.#counts.set(domain, held)
    this.#domains.set(delivery, domain)
    return { held, all: this.#domains.size }
  }

  /** It is not in hand any more; without effect for one that was never counted. */
  letGo(delivery: Delivery): void {
    const domain = this.#domains.get(delivery)
    if (domain === undefined) return
    this.#domains.delete(delivery)
    const held = (this.#counts.get(domain) ?? 1) - 1
    if (held > 0) this.#counts.set(domain, held)
    else this.#counts.delete(domain)
  }
}
