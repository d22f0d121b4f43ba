/** Many deadlines on one timer. */
export interface Alarms<T> {
  /** Rings for `item` at that moment, instead of any other; never, when there is none. */
  set(item: T, at: number | undefined): void
  /** Rings no more. */
  close(): void
}

/** A ring may be late by this, so that deadlines close to each other share one look at all of them. */
const GRAIN_MS = 10
/** A clock that jumps, as after a machine was asleep, is noticed so soon. */
const LONGEST_MS = 1000

/**
 * Alarms for hundreds of items: moving one is free unless it becomes the first. A ring forgets the deadline before it
 * calls, so that it may be set again from there.
 */
export function createAlarms<T>(ring: (item: T) => void, now: () => number): Alarms<T> {
  const deadlines = new Map<T, number>()
  let timer: NodeJS.Timeout | undefined
  let timerAt = Number.POSITIVE_INFINITY

  function arm(at: number): void {
    if (at >= timerAt) return
    clearTimeout(timer)
    timerAt = at
    timer = setTimeout(look, Math.min(LONGEST_MS, Math.max(GRAIN_MS, at - now())))
  }

  function look(): void {
    timerAt = Number.POSITIVE_INFINITY
    const moment = now()
    const due = [...deadlines].filter(([, at]) => at <= moment)
    for (const [item, at] of due) {
      if (deadlines.get(item) !== at) continue
      deadlines.delete(item)
      ring(item)
    }
    let next = Number.POSITIVE_INFINITY
    for (const at of deadlines.values()) next = Math.min(next, at)
    if (next < Number.POSITIVE_INFINITY) arm(next)
  }

  return {
    set(item, at) {
      if (at === undefined || at === Number.POSITIVE_INFINITY) deadlines.delete(item)
      else {
        deadlines.set(item, at)
        arm(at)
      }
    },
    close() {
      clearTimeout(timer)
      deadlines.clear()
    },
  }
}
