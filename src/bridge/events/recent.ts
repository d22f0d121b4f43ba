/** Remembers for a while what has been done, so that it is done once. */
export interface Recent {
  /**
   * What `act` gives the first time; `'again'` when the same key was done a while ago, or is being done, as soon as that
   * has ended well. What failed may be tried again.
   */
  once<T>(key: string, act: () => Promise<T>): Promise<T | 'again'>
}

interface Entry {
  readonly at: number
  /** Until it is done. */
  underWay: Promise<unknown> | undefined
}

/** Remembers `most` keys for `windowMs`, in this process only. */
export function createRecent({
  windowMs,
  most,
  now,
}: {
  readonly windowMs: number
  readonly most: number
  readonly now: () => number
}): Recent {
  const entries = new Map<string, Entry>()

  function tidy(): void {
    for (const [key, { at, underWay }] of entries) {
      if (underWay !== undefined || (now() - at < windowMs && entries.size <= most)) return
      entries.delete(key)
    }
  }

  return {
    async once(key, act) {
      const known = entries.get(key)
      if (known !== undefined && (known.underWay !== undefined || now() - known.at < windowMs)) {
        await known.underWay
        return 'again'
      }
      entries.delete(key)
      const work = act()
      const entry: Entry = { at: now(), underWay: work }
      entries.set(key, entry)
      tidy()
      try {
        const result = await work
        entry.underWay = undefined
        return result
      } catch (error) {
        if (entries.get(key) === entry) entries.delete(key)
        throw error
      }
    },
  }
}
