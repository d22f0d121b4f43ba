import type { Delivery } from '../../brokers/broker.ts'

/** What is in hand at a moment. */
export interface Held {
  /** For this portal, the delivery that is asked about included. */
  readonly held: number
  /** Portals that hold anything. */
  readonly holders: number
  /** For all portals. */
  readonly all: number
}

/** Counts the deliveries in hand by the portal that they are for. */
export class HeldByPortal {
  readonly #counts = new Map<string, number>()
  readonly #domains = new Map<Delivery, string>()

  /** One more for this portal; how many there are now. */
  take(delivery: Delivery, domain: string): Held {
    const held = (this.#counts.get(domain) ?? 0) + 1
    this.#counts.set(domain, held)
    this.#domains.set(delivery, domain)
    return { held, holders: this.#counts.size, all: this.#domains.size }
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
