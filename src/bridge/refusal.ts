import { CommandError } from '../model/errors.ts'

/** One row of a table of refusals. */
export interface Refusal {
  readonly status: number
  readonly description: string
  readonly hint?: string
}

/** The error to throw for a refusal of a table. */
export function refusalError(code: string, refusal: Refusal, cause?: unknown): CommandError {
  const { status, description, hint } = refusal
  return new CommandError(code, description, {
    status,
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
  })
}
