import { CommandError } from '../../model/errors.ts'

interface Refusal {
  readonly status: number
  readonly description: string
  readonly hint: string
}

/** Why a letter is not shown or not sent; the one table. */
export const LETTER_REFUSALS = {
  FILTER_INVALID: {
    status: 400,
    description: 'The filter is not written as it must be.',
    hint: 'There are state, reason, portal, method, queue, since, until, after, limit; moments are written like 2026-11-22T10:00:00Z.',
  },
  RETRY_INVALID: {
    status: 400,
    description: 'What is to be sent again is not written as it must be.',
    hint: 'A JSON object with by, new_id, queue, again, dry_run; for one letter edit (body, method, params, headers), for many filter, rate_per_second, limit.',
  },
  DROP_INVALID: {
    status: 400,
    description: 'What is to be dropped is not written as it must be.',
    hint: 'A JSON object with filter (state, reason, portal, method, queue, since, until), dry_run, limit, by.',
  },
  LETTER_UNKNOWN: {
    status: 404,
    description: 'No dead letter has this id.',
    hint: 'It was dropped, is older than BRIDGE_DEAD_RETENTION, or was never here.',
  },
  LETTER_UNSURE: {
    status: 409,
    description: 'The portal may have carried this command out; sent again it could happen twice.',
    hint: 'Look in Bitrix24. If it did not happen, retry it under a new id (--new-id, new_id); if it did, drop the letter.',
  },
  LETTER_RETRIED: {
    status: 409,
    description: 'This letter was sent again before.',
    hint: 'Look what became of it: a letter that came back names this one. Sent once more it is with --again, again.',
  },
  LETTER_WITHOUT_QUEUE: {
    status: 409,
    description: 'Nobody knows from which queue this message came.',
    hint: 'Name the queue where it is to go (--to-queue, queue).',
  },
  LETTER_BUSY: {
    status: 409,
    description: 'Somebody else is sending this letter again at this moment.',
    hint: 'Look at the letter in a minute.',
  },
  DEAD_LETTERS_IN_QUEUE: {
    status: 409,
    description: 'Dead letters stay in their queue here, where only tools of the broker can look at them.',
    hint: 'Set BRIDGE_DEAD_LETTERS=store to have the service collect them from the queue.',
  },
} as const satisfies Readonly<Record<string, Refusal>>

export type LetterRefusalCode = keyof typeof LETTER_REFUSALS

/** The error to throw for a refusal of the table. */
export function refuseLetter(code: LetterRefusalCode): CommandError {
  const { description, ...rest } = LETTER_REFUSALS[code]
  return new CommandError(code, description, rest)
}
