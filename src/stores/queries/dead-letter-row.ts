import type { Selectable } from 'kysely'
import type { DeadLetter } from '../../model/dead-letter.ts'
import type { DeadLettersTable } from '../schema.ts'

/** Everything but the content, which lists do not read. */
export const SUMMARY = [
  'id',
  'kind',
  'state',
  'reason',
  'description',
  'hint',
  'unsure',
  'queue',
  'contract',
  'portal',
  'method',
  'message_id',
  'correlation_id',
  'target_exchange',
  'target_key',
  'attempts',
  'deliveries',
  'body_bytes',
  'sent_at',
  'died_at',
  'stored_at',
  'retries',
  'retried_at',
  'retried_by',
  'retry_of',
] as const satisfies readonly (keyof DeadLettersTable)[]

type Summary = Pick<Selectable<DeadLettersTable>, (typeof SUMMARY)[number]>

/** A letter as columns, its content left out. */
export function columnsOf(
  letter: DeadLetter,
): Omit<DeadLettersTable, 'claimed_until' | 'properties' | 'secret_headers'> {
  return {
    id: letter.id,
    kind: letter.kind,
    state: letter.state,
    reason: letter.reason,
    description: letter.description ?? null,
    hint: letter.hint ?? null,
    unsure: letter.unsure ? 1 : 0,
    queue: letter.queue ?? null,
    contract: letter.contract ?? null,
    portal: letter.portal ?? null,
    method: letter.method ?? null,
    message_id: letter.messageId ?? null,
    correlation_id: letter.correlationId ?? null,
    target_exchange: letter.target?.exchange ?? null,
    target_key: letter.target?.routingKey ?? null,
    attempts: letter.attempts,
    deliveries: letter.deliveries,
    body_bytes: letter.bytes,
    sent_at: letter.sentAt ?? null,
    died_at: letter.diedAt,
    stored_at: letter.storedAt,
    retries: letter.retries,
    retried_at: letter.retriedAt ?? null,
    retried_by: letter.retriedBy ?? null,
    retry_of: letter.retryOf ?? null,
  }
}

/** The letter in a row. */
export function letterOf(row: Summary): DeadLetter {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    reason: row.reason,
    ...given({ description: row.description, hint: row.hint }),
    unsure: row.unsure === 1,
    ...given({
      queue: row.queue,
      contract: row.contract,
      portal: row.portal,
      method: row.method,
      messageId: row.message_id,
      correlationId: row.correlation_id,
    }),
    ...(row.target_exchange === null
      ? {}
      : { target: { exchange: row.target_exchange, routingKey: row.target_key ?? '' } }),
    attempts: row.attempts,
    deliveries: row.deliveries,
    bytes: row.body_bytes,
    ...given({ sentAt: row.sent_at }),
    diedAt: row.died_at,
    storedAt: row.stored_at,
    retries: row.retries,
    ...given({ retriedAt: row.retried_at, retriedBy: row.retried_by, retryOf: row.retry_of }),
  }
}

type Given<T> = { [K in keyof T]?: NonNullable<T[K]> }

/** The columns that hold something. */
function given<T extends Record<string, string | number | null>>(columns: T): Given<T> {
  return Object.fromEntries(Object.entries(columns).filter(([, value]) => value !== null)) as Given<T>
}
