import { isUtf8 } from 'node:buffer'
import type { DeadLetter, LetterContent } from '../../model/dead-letter.ts'
import type { Json, JsonObject } from '../../model/json.ts'
import { maskSecrets } from '../../model/webhook.ts'

/** A letter for programs; moments as ISO 8601, what is not known as null. */
export function letterFacts(letter: DeadLetter): JsonObject {
  return {
    id: letter.id,
    kind: letter.kind,
    state: letter.state,
    reason: letter.reason,
    description: letter.description ?? null,
    hint: letter.hint ?? null,
    unsure: letter.unsure,
    queue: letter.queue ?? null,
    target: letter.target === undefined ? null : { ...letter.target },
    contract: letter.contract ?? null,
    portal: letter.portal ?? null,
    method: letter.method ?? null,
    messageId: letter.messageId ?? null,
    correlationId: letter.correlationId ?? null,
    attempts: letter.attempts,
    deliveries: letter.deliveries,
    bytes: letter.bytes,
    sentAt: moment(letter.sentAt),
    diedAt: moment(letter.diedAt),
    storedAt: moment(letter.storedAt),
    retries: letter.retries,
    retriedAt: moment(letter.retriedAt),
    retriedBy: letter.retriedBy ?? null,
    retryOf: letter.retryOf ?? null,
  }
}

/** The message in a letter for programs: what looks like a credential is masked; bytes that are no text are base64. */
export function contentFacts(content: LetterContent): JsonObject {
  return {
    properties: masked(JSON.parse(content.properties) as Json),
    ...(isUtf8(content.body)
      ? { body: maskText(content.body.toString('utf8')) }
      : { bodyBase64: content.body.toString('base64') }),
  }
}

/** The message to the byte, for a copy that must not differ; only its secret headers are masked. */
export function originalFacts({ properties, body }: LetterContent): JsonObject {
  return { properties: JSON.parse(properties) as JsonObject, bodyBase64: body.toString('base64') }
}

const NAMES =
  'auth|access_?token|refresh_?token|application_?token|client_?secret|token|password|secret|webhook'
const SECRET_NAME = new RegExp(`^(?:${NAMES})$`, 'i')
const SECRET_MEMBER = new RegExp(`("(?:${NAMES})"\\s*:\\s*")(?:[^"\\\\]|\\\\.)*"`, 'gi')

/** The text without webhook codes, tokens and passwords, as far as they can be told. */
function maskText(text: string): string {
  return maskSecrets(text.replace(SECRET_MEMBER, '$1•••"'))
}

/** The same inside a value, which stays well-formed. */
function masked(value: Json): Json {
  if (typeof value === 'string') return maskSecrets(value)
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(masked)
  return Object.fromEntries(
    Object.entries(value).map(([name, inner]) => [
      name,
      SECRET_NAME.test(name) && typeof inner === 'string' ? '•••' : masked(inner),
    ]),
  )
}

function moment(ms: number | undefined): Json {
  return ms === undefined ? null : new Date(ms).toISOString()
}
