import type { Message } from '../../brokers/broker.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import type { OutboxRow } from './store.ts'

/** Keys of the native command that stand in `options`; the others have columns. */
export const OPTION_KEYS = ['application', 'api', 'verify', 'deadlineMs'] as const

/** By which a row is known in the ledger and to the portal: its own id, or the one that its writer gave. */
export function identityOf({ id, created_at, message_id }: OutboxRow): string {
  // A table that was emptied gives the same numbers again.
  return given(message_id) ?? `outbox-${id}-${created_at}`
}

/** The row as a message of the native contract. Throws a `CommandError` for JSON that is none; the contract sees the rest. */
export function messageOf(row: OutboxRow): Message {
  const options = optionsOf(row)
  const parts = Object.entries(options).map(
    ([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`,
  )
  const texts = {
    portal: row.portal,
    method: row.method,
    action: row.action,
    as: row.as_user,
    orderKey: row.order_key,
    priority: row.priority,
  }
  for (const [key, value] of Object.entries(texts)) {
    const text = given(value)
    if (text !== undefined) parts.push(`"${key}":${JSON.stringify(text)}`)
  }
  // As they were written, so that no digit of a long number is lost.
  for (const column of ['params', 'meta'] as const) {
    if (jsonOf(row, column) !== undefined) parts.push(`"${column}":${row[column]}`)
  }
  const id = identityOf(row)
  return { body: Buffer.from(`{${parts.join(',')}}`), headers: {}, messageId: id, correlationId: id }
}

/** The options of a row; empty when there are none. */
export function optionsOf(row: Pick<OutboxRow, 'options'>): JsonObject {
  const options = jsonOf(row, 'options') ?? {}
  if (!isJsonObject(options))
    throw new CommandError('OPTIONS_INVALID', 'The column options must hold a JSON object.')
  const odd = Object.keys(options).find((key) => !OPTION_KEYS.some((known) => known === key))
  if (odd !== undefined)
    throw new CommandError('KEY_UNKNOWN', `The column options has no key "${odd.slice(0, 60)}".`, {
      hint: `Its keys are ${OPTION_KEYS.join(', ')}; what else a command has stands in columns of its own.`,
    })
  return options
}

/** What a column of JSON holds; `undefined` when it is empty. */
export function jsonOf<K extends 'params' | 'meta' | 'options' | 'then_run' | 'chain_values'>(
  row: Pick<OutboxRow, K>,
  column: K,
): Json | undefined {
  const text = given(row[column])
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as Json
  } catch (error) {
    throw new CommandError(
      'COLUMN_NOT_JSON',
      `The column ${column} does not hold JSON: ${error instanceof Error ? error.message.slice(0, 120) : ''}`,
      { hint: 'Write it with the JSON functions of your language or database; leave it out for none.' },
    )
  }
}

/** Some write an empty text where they mean nothing. */
function given(text: string | null): string | undefined {
  return text === null || text.trim() === '' ? undefined : text
}
