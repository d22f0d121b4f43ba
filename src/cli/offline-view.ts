import type { QueueErrors } from '../bridge/events/offline/errors.ts'
import { maskSecrets } from '../model/webhook.ts'
import { tableLines } from './table.ts'

/** A queue with hidden events, for people. */
export function queueLines({ memberId, clientId, connector, total, rows, error }: QueueErrors): string[] {
  const name = `${memberId} ${clientId}${connector === '' ? '' : ` ${connector}`}`
  if (error !== undefined) return [`${name}: FAILED`, `  ${error.code}: ${maskSecrets(error.message)}`]
  const table = tableLines(
    ['ID', 'EVENT', 'SEEN', 'BYTES'],
    rows.map((row) => [
      row.id,
      row.event,
      new Date(row.seenAt).toISOString(),
      String(Buffer.byteLength(JSON.stringify(row.data))),
    ]),
  )
  const more = rows.length < total ? [`  … ${total - rows.length} more`] : []
  return [`${name}: ${total} hidden`, ...table.map((line) => `  ${line}`), ...more]
}
