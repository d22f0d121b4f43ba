/**
 * A portal's request counter that several processes share. What is asked for here is counted there at once, whether it
 * is used or not; the lane asks right before it sends.
 */
export interface SharedCounter {
  /**
   * Takes up to `most` places while the counter stays at or below `capacity`. Never rejects: a counter that cannot be
   * reached gives places from a share that is safe whatever the others do.
   */
  take(ask: { readonly most: number; readonly capacity: number }): Promise<TakenPlaces>
  /** The portal says that its counter is full: everybody waits. */
  overflowed(): void
}

/** What asking gave. */
export interface TakenPlaces {
  readonly granted: number
  /** Where the counter stands when nothing was granted; `undefined` when nobody knows. */
  readonly level?: number
}

/** Places that were granted and not used yet, as the planner sees them. */
export interface HeldPlaces {
  readonly free: number
  /** An answer is on its way. */
  readonly asking: boolean
  /** Nothing is asked for before this moment. */
  readonly notBefore: number
}

/** An unused place is given up after this long: the portal has drained meanwhile, and others count on that. */
const KEPT_MS = 500
/** Refusals that tell no level, or one that seems to leave room, are not asked about again at once. */
const PAUSE_MS = 20
/** How long the processes that share a counter take to forget which of them asked first. */
const SPREAD_MS = 30

/** Keeps count of granted places. Pure but for the randomness that is passed in. */
export class Places {
  readonly #random: () => number
  #free = 0
  #until = 0
  #asking = false
  #notBefore = 0

  constructor(random: () => number) {
    this.#random = random
  }

  at(now: number): HeldPlaces {
    return { free: now < this.#until ? this.#free : 0, asking: this.#asking, notBefore: this.#notBefore }
  }

  asked(): void {
    this.#asking = true
  }

  answered(granted: number, now: number): void {
    this.#asking = false
    if (granted === 0) {
      this.#notBefore = now + PAUSE_MS + this.#random() * SPREAD_MS
      return
    }
    this.#free = this.at(now).free + granted
    this.#until = now + KEPT_MS
  }

  use(): void {
    this.#free--
  }
}
