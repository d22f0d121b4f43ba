/** How a loop that looks into a table waits between two looks. */
export interface Pace {
  /** Resolves at `wake`, or after a while: short after something was found, then longer and longer. */
  wait(found: boolean): Promise<void>
  /** Something may be there; counts for the next wait too, when nobody waits now. */
  wake(): void
  readonly closed: boolean
  /** Ends the wait under way, and every later one at once. */
  close(): void
}

const SHORTEST_MS = 50

/** Waits of 50 ms up to `longestMs`, each twice the one before. */
export function createPace({ longestMs }: { readonly longestMs: number }): Pace {
  let nextMs = Math.min(SHORTEST_MS, longestMs)
  let woken = false
  let closed = false
  let end: (() => void) | undefined

  return {
    async wait(found) {
      nextMs = found ? Math.min(SHORTEST_MS, longestMs) : Math.min(longestMs, nextMs * 2)
      if (!woken && !closed) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, nextMs)
          end = () => {
            clearTimeout(timer)
            resolve()
          }
        })
        end = undefined
      }
      woken = false
    },
    wake() {
      woken = true
      end?.()
    },
    get closed() {
      return closed
    },
    close() {
      closed = true
      end?.()
    },
  }
}
