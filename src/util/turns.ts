/** Lets work of the same key run one after another, in the order in which it came; other keys do not wait. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Runs the work when all that came before it under this key has ended, well or not. */
  take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const running = before === undefined ? work() : before.then(work)
    const end = running
      .catch(() => undefined)
      .then(() => {
        if (this.#last.get(key) === end) this.#last.delete(key)
      })
    this.#last.set(key, end)
    return running
  }
}
