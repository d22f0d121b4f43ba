import type { Delivery } from '../../brokers/broker.ts'

/** Counts the deliveries in hand by the portal that they are for. */
export class HeldByPortal {
  readonly #counts = new Map<string, number>()
  readonly #domains = new Map<Delivery, string>()

  /** One more for this portal; how many there are now. */
  take(delivery: Delivery, domain: string): number {
    const held = (this.#counts.get(domain) ?? 0) + 1
    this.#counts.set(domain, held)
    this.#domains.set(delivery, domain)
    return held
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
