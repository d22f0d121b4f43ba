/**
 * Turns many small requests of one tick into one: each call of the returned function waits for the end of the tick
 * (and for a run under way), then `run` gets all items together and gives one answer an item, in order. When `run`
 * rejects, every caller of that run gets the error.
 */
export function gather<T, R>(run: (items: readonly T[]) => Promise<readonly R[]>): (item: T) => Promise<R> {
  interface Caller {
    readonly item: T
    readonly resolve: (value: R) => void
    readonly reject: (error: unknown) => void
  }
  let callers: Caller[] = []
  let busy = false

  async function flush(): Promise<void> {
    while (callers.length > 0) {
      const group = callers
      callers = []
      try {
        const answers = await run(group.map(({ item }) => item))
        for (let i = 0; i < group.length; i++) (group[i] as Caller).resolve(answers[i] as R)
      } catch (error) {
        for (const { reject } of group) reject(error)
      }
    }
    busy = false
  }

  return (item) =>
    new Promise<R>((resolve, reject) => {
      callers.push({ item, resolve, reject })
      if (busy) return
      busy = true
      setImmediate(flush)
    })
}
