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

let cachedSecond = Number.NaN
let cachedText = ''

/** `2026-11-22T03:24:02+03:00` for an instant in milliseconds: the portal's own zone, precise to the second. */
export function isoTime(ms: number): string {
  const second = Math.floor(ms / 1000)
  if (second !== cachedSecond) {
    cachedText = formatZone(second)
    cachedSecond = second
  }
  return cachedText
}

function formatZone(second: number): string {
  const shifted = new Date((second + ZONE_HOURS * 3600) * 1000).toISOString()
  return `${shifted.slice(0, 19)}+${String(ZONE_HOURS).padStart(2, '0')}:00`
}

/** Like `isoTime`, for dates inside rows, which seldom repeat. */
export function rowTime(ms: number): string {
  return formatZone(Math.floor(ms / 1000))
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
