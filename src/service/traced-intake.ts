import type { EventIntake } from '../bridge/events/intake.ts'
import { BridgeError } from '../model/errors.ts'
import { beginSpan, under } from '../util/tracing.ts'

/** Each request is a span, and its event, where it goes to the broker at once, another one below it. */
export function tracedIntake(intake: EventIntake): EventIntake {
  return {
    async take(request) {
      const span = beginSpan({ name: 'take event', role: 'internal', facts: {} })
      if (span === undefined) return intake.take(request)
      try {
        await under(span.point, () => intake.take(request))
        span.end()
      } catch (error) {
        span.end(error instanceof BridgeError ? error.code : 'INTERNAL_ERROR')
        throw error
      }
    },
  }
}
