import type { JsonObject } from '../../../model/json.ts'
import { maskSecrets } from '../../../model/webhook.ts'
import type { QueueErrors } from './errors.ts'

/** A queue with hidden events, as JSON; of their data only the size. */
export function queueFacts({ memberId, clientId, connector, total, rows, error }: QueueErrors): JsonObject {
  return {
    portal: memberId,
    application: clientId,
    connector,
    total,
    events: rows.map((row) => ({
      id: row.id,
      event: row.event,
      message_id: row.messageId,
      seen_at: new Date(row.seenAt).toISOString(),
      bytes: Buffer.byteLength(JSON.stringify(row.data)),
    })),
    ...(error === undefined ? {} : { error: error.code, error_description: maskSecrets(error.message) }),
  }
}
