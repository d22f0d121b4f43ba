import type { AnswerTime } from '../../model/call.ts'

/** Foretells how long a call of a method takes, so that a batch ends well before the portal cuts it at 60 s. */
export interface Prediction {
  /** Expected seconds of one call; 0.3 for a method never seen. */
  seconds(method: string): number
  /** Takes in the answers of one request that took `wallMs` altogether. */
  observe(answers: readonly { readonly method: string; readonly time: AnswerTime }[], wallMs: number): void
  /** A request that took `wallMs` was cut: its methods take at least their share of that, so send fewer at once. */
  cut(methods: readonly string[], wallMs: number): void
}

const UNKNOWN_SECONDS = 0.3
const WEIGHT = 0.2

/**
 * A moving average a method. Newer portals round `start` down to a whole second, so that `duration` is up to a
 * second too long; no share is therefore ever larger than what the request took by our own clock.
 *
 * https://apidocs.bitrix24.com/api-reference/data-types.html
 */
export function createPrediction(): Prediction {
  const averages = new Map<string, number>()
  return {
    seconds: (method) => averages.get(method) ?? UNKNOWN_SECONDS,
    cut(methods, wallMs) {
      const share = wallMs / 1000 / methods.length
      for (const method of methods) averages.set(method, Math.max(averages.get(method) ?? 0, share * 1.5))
    },
    observe(answers, wallMs) {
      const wall = wallMs / 1000
      let sum = 0
      for (const { time } of answers) sum += time.duration ?? 0
      const scale = sum > wall ? wall / sum : 1
      for (const { method, time } of answers) {
        const seconds =
          time.duration === undefined ? wall / answers.length : Math.max(0, time.duration) * scale
        const before = averages.get(method)
        averages.set(method, before === undefined ? seconds : before + (seconds - before) * WEIGHT)
      }
    },
  }
}
