/** `npm run test:faults -- --long`, or `FAULTS_LONG=1`: more of everything. */
export const LONG = process.env.FAULTS_LONG === '1'

/** Chooses by profile: what fits into five minutes together, or what runs for as long as it takes. */
export function sized<T>(usual: T, long: T): T {
  return LONG ? long : usual
}

/** What the run's chances hang on; the same seed makes the same choices. `FAULTS_SEED` sets it. */
export const SEED = Number(process.env.FAULTS_SEED ?? 0) >>> 0

/** Numbers from 0 to 1 that depend on nothing but the run's seed and a name. Mulberry32. */
export function createRandom(name: string): () => number {
  let state = SEED
  for (const char of name) state = Math.imul(state ^ char.charCodeAt(0), 0x01000193) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
