/** Measures from now on; each call of what it gives tells the milliseconds since then. */
export type StartStopwatch = () => () => number

/**
 * A stopwatch by several clocks, of which the one that went furthest counts: a steady clock stands still while a machine
 * sleeps, and a wall clock may be set back.
 */
export function stopwatchBy(...clocks: readonly (() => number)[]): StartStopwatch {
  return () => {
    const from = clocks.map((clock) => clock())
    return () => Math.max(...clocks.map((clock, at) => clock() - (from[at] as number)))
  }
}
