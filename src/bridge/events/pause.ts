/** After a failure at the broker nobody tries it for a while; the next failure makes it longer, up to half a minute. */
export interface Pause {
  isOver(): boolean
  /** Another failure. While it lasts, nothing changes. */
  begin(): void
  /** The broker works: the next pause is a short one again. */
  forget(): void
}

const FIRST_MS = 1000
const LONGEST_MS = 30_000

export function createPause(now: () => number): Pause {
  let until = 0
  let nextMs = FIRST_MS
  return {
    isOver: () => now() >= until,
    begin() {
      if (now() < until) return
      until = now() + nextMs
      nextMs = Math.min(LONGEST_MS, nextMs * 2)
    },
    forget() {
      nextMs = FIRST_MS
    },
  }
}
