import type { Waiting } from './waiting.ts'

/**
 * Which waiting work ends when which signal aborts. All work of a signal shares one listener: hundreds of commands that
 * wait on the same signal would otherwise search one another's listeners. A signal without work is forgotten.
 */
export class Withdrawals {
  readonly #withdraw: (item: Waiting, signal: AbortSignal) => void
  readonly #bySignal = new Map<AbortSignal, { readonly items: Set<Waiting>; readonly onAbort: () => void }>()

  constructor(withdraw: (item: Waiting, signal: AbortSignal) => void) {
    this.#withdraw = withdraw
  }

  /** `item` is withdrawn when `signal` aborts. */
  add(signal: AbortSignal, item: Waiting): void {
    let watched = this.#bySignal.get(signal)
    if (watched === undefined) {
      const items = new Set<Waiting>()
      const onAbort = (): void => {
        for (const one of [...items]) this.#withdraw(one, signal)
      }
      watched = { items, onAbort }
      this.#bySignal.set(signal, watched)
      signal.addEventListener('abort', onAbort, { once: true })
    }
    watched.items.add(item)
  }

  /** `item` has ended; does nothing when it was not added. */
  remove(signal: AbortSignal, item: Waiting): void {
    const watched = this.#bySignal.get(signal)
    if (watched === undefined) return
    watched.items.delete(item)
    if (watched.items.size > 0) return
    this.#bySignal.delete(signal)
    signal.removeEventListener('abort', watched.onAbort)
  }
}
