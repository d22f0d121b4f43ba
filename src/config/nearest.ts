import { closest, distance } from 'fastest-levenshtein'

/** The known name that is most like the given one, or `undefined` when none is near enough to be meant. */
export function nearest(name: string, known: readonly string[]): string | undefined {
  if (known.length === 0) return undefined
  const best = closest(name, known)
  return distance(name, best) <= Math.max(3, Math.ceil(name.length / 2.5)) ? best : undefined
}
