/** What `bytesToJson` writes for bytes. */
interface WrittenBytes {
  readonly '!': 'bytes'
  readonly base64: string
}

/** A value as JSON can carry it: bytes anywhere inside become `{ "!": "bytes", "base64": … }`. */
export function bytesToJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return { '!': 'bytes', base64: value.toString('base64') } satisfies WrittenBytes
  return mapInside(value, bytesToJson)
}

/** The value again, with its bytes. */
export function bytesFromJson(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  const { '!': mark, base64 } = value as Partial<WrittenBytes>
  if (mark === 'bytes' && typeof base64 === 'string') return Buffer.from(base64, 'base64')
  return mapInside(value, bytesFromJson)
}

function mapInside(value: object, change: (inner: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(change)
  const changed: Record<string, unknown> = {}
  for (const name in value) changed[name] = change((value as Record<string, unknown>)[name])
  return changed
}
