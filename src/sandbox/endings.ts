import type { ServerResponse } from 'node:http'
import { type Fault, type FaultScript, runsFirst } from './faults.ts'
import type { Settings } from './options.ts'
import { refusal } from './perform.ts'
import { errorAnswer, type HttpAnswer, htmlAnswer } from './respond.ts'

/** How a request ends: with an answer after a while, with a reset connection, never, or as somebody else sees to. */
export type Ending =
  | {
      readonly kind: 'answer'
      readonly answer: HttpAnswer
      readonly delayMs: number
      /** Done when the caller has gone before the answer was written. */
      readonly ifLost?: () => void
    }
  | { readonly kind: 'reset' }
  | { readonly kind: 'hang' }
  | { readonly kind: 'held'; readonly by: (response: ServerResponse) => void }

/** A request must be over within a minute, or it is cut. https://apidocs.bitrix24.com/limits.html */
export function ended(answer: HttpAnswer, delayMs = 0, cutMs = Number.POSITIVE_INFINITY): Ending {
  if (delayMs > cutMs) return { kind: 'answer', answer: htmlAnswer(504), delayMs: cutMs }
  return { kind: 'answer', answer, delayMs }
}

/** What a fault that acts after the method makes of a good ending. */
export function spoil(ending: Ending, fault: Fault, cutMs: number): Ending {
  if (ending.kind !== 'answer') return ending
  if (fault.kind === 'truncate') return { ...ending, answer: half(ending.answer) }
  if (fault.kind === 'slow') return ended(ending.answer, ending.delayMs + (fault.delayMs ?? 1000), cutMs)
  return interrupted(fault, ending.delayMs)
}

export function interrupted(fault: Fault, delayMs: number): Ending {
  if (fault.kind === 'reset' || fault.kind === 'reset-after') return { kind: 'reset' }
  if (fault.kind === 'hang') return { kind: 'hang' }
  return ended(
    htmlAnswer(fault.status ?? (fault.kind === 'html' ? 200 : 502)),
    delayMs + (fault.delayMs ?? 0),
  )
}

export function half(answer: HttpAnswer): HttpAnswer {
  return { ...answer, text: answer.text.slice(0, Math.floor(answer.text.length / 2)) }
}

/** Runs something that is no REST method of a portal under the fault script, as if it were the method `name`. */
export function underFaults(
  faults: FaultScript,
  settings: Settings,
  name: string,
  run: () => HttpAnswer,
): Ending {
  const fault = faults.forCall(name)
  if (fault?.kind === 'refuse') return ended(errorAnswer(refusal(fault), settings.switches, 'json'))
  if (fault !== undefined && !runsFirst(fault)) return interrupted(fault, 0)
  const ending = ended(run())
  return fault === undefined ? ending : spoil(ending, fault, settings.cutMs)
}
