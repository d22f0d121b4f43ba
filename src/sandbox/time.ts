/** The `time` object of an answer. https://apidocs.bitrix24.com/api-reference/data-types.html */
export interface AnswerTime {
  start: number
  finish: number
  duration: number
  processing: number
  date_start: string
  date_finish: string
  operating_reset_at?: number
  operating?: number
}

/** Hours by which the portal's clock is ahead of UTC; not zero, so that a client which drops the offset is seen. */
const ZONE_HOURS = 3

const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'))

let cachedHour = Number.NaN
let cachedPrefix = ''

/** `2026-11-22T03:24:02+03:00` for an instant in milliseconds: the portal's own zone, precise to the second. */
export function isoTime(ms: number): string {
  const second = Math.floor(ms / 1000) + ZONE_HOURS * 3600
  const hour = Math.floor(second / 3600)
  if (hour !== cachedHour) {
    cachedPrefix = new Date(hour * 3_600_000).toISOString().slice(0, 14)
    cachedHour = hour
  }
  const rest = second - hour * 3600
  return `${cachedPrefix}${TWO_DIGITS[Math.floor(rest / 60)]}:${TWO_DIGITS[rest % 60]}+${TWO_DIGITS[ZONE_HOURS]}:00`
}

/** How the `time` object is told to differ from the usual. */
export interface TimeHabits {
  readonly integerStart: boolean
  readonly zeroProcessing: boolean
}

/** The `time` object of a call that began at `startMs` and took `seconds`; without the limiter's two fields. */
export function answerTime(startMs: number, seconds: number, habits: TimeHabits): AnswerTime {
  const finishMs = startMs + seconds * 1000
  return {
    start: habits.integerStart ? Math.floor(startMs / 1000) : startMs / 1000,
    finish: finishMs / 1000,
    duration: seconds,
    processing: habits.zeroProcessing ? 0 : seconds,
    date_start: isoTime(startMs),
    date_finish: isoTime(finishMs),
  }
}
