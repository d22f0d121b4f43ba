/** One line of the log for many events. */
export interface Summary {
  count(result: string): void
  /** Writes what is left. Twice is harmless. */
  close(): void
}

/** Writes `event.summary` with how many requests ended how since the last line; nothing when there were none. */
export function createSummary(
  log: (event: string, fields: Readonly<Record<string, unknown>>) => void,
  everyMs = 60_000,
): Summary {
  let counts: Record<string, number> = {}
  const write = (): void => {
    if (Object.keys(counts).length > 0) log('event.summary', counts)
    counts = {}
  }
  const timer = setInterval(write, everyMs).unref()
  return {
    count(result) {
      counts[result] = (counts[result] ?? 0) + 1
    },
    close() {
      clearInterval(timer)
      write()
    },
  }
}
