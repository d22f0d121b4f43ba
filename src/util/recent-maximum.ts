/** The greatest of the values of the last while. */
export interface RecentMaximum {
  add(value: number): void
  /** 0 when there was none. */
  read(): number
}

/** Remembers a few values at most, however many are added. */
export function createRecentMaximum(windowMs: number, now: () => number): RecentMaximum {
  const slotMs = windowMs / 60
  let slots: { readonly at: number; value: number }[] = []
  return {
    add(value) {
      const at = now()
      const last = slots.at(-1)
      if (last !== undefined && at - last.at < slotMs) {
        last.value = Math.max(last.value, value)
        return
      }
      slots = [...slots.filter((slot) => at - slot.at < windowMs), { at, value }]
    },
    read() {
      const at = now()
      return slots.reduce((most, slot) => (at - slot.at < windowMs ? Math.max(most, slot.value) : most), 0)
    },
  }
}
