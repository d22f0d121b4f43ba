const KEPT = 100

/** The last hundred messages by their `mid`, to drop those that come again. */
export class Seen {
  readonly #mids = new Set<string>()

  /** True the first time; a message without a `mid` is always new. */
  add(mid: string | undefined): boolean {
    if (mid === undefined) return true
    if (this.#mids.has(mid)) return false
    this.#mids.add(mid)
    if (this.#mids.size > KEPT) this.#mids.delete(this.#mids.values().next().value as string)
    return true
  }
}
