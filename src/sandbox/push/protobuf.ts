import type { PushMessage } from './history.ts'

const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED_32 = 5

/** `sender.type` of what a portal publishes. */
export const BACKEND = 2

/**
 * Messages as binary connections get them: one `ResponseBatch` with one `Response` with the `OutgoingMessages`.
 *
 * | message | fields |
 * | --- | --- |
 * | `ResponseBatch` | 1 `responses` |
 * | `Response` | 1 `outgoingMessages` |
 * | `OutgoingMessages` | 1 `messages` |
 * | `OutgoingMessage` | 1 `id` (the digits of `mid`, two a byte), 2 `body` (JSON), 3 `expiry`, 4 `created` (fixed32), 5 `sender` |
 * | `Sender` | 1 `type` |
 *
 * https://protobuf.dev/programming-guides/encoding/
 */
export function encodeBatch(messages: readonly PushMessage[]): Buffer {
  const outgoing = Buffer.concat(messages.map((message) => delimited(1, encodeMessage(message))))
  return delimited(1, delimited(1, outgoing))
}

function encodeMessage({ mid, text, expiry, createdMs }: PushMessage): Buffer {
  return Buffer.concat([
    delimited(1, Buffer.from(mid, 'hex')),
    delimited(2, Buffer.from(JSON.stringify(text))),
    number(3, expiry),
    fixed32(4, Math.floor(createdMs / 1000)),
    delimited(5, number(1, BACKEND)),
  ])
}

function delimited(field: number, value: Buffer): Buffer {
  return Buffer.concat([tag(field, LENGTH_DELIMITED), varint(value.length), value])
}

function number(field: number, value: number): Buffer {
  return Buffer.concat([tag(field, VARINT), varint(value)])
}

function fixed32(field: number, value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return Buffer.concat([tag(field, FIXED_32), bytes])
}

function tag(field: number, type: number): Buffer {
  return varint(field * 8 + type)
}

/** Seven bits a byte, lowest first; the top bit says that more follow. */
function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...bytes, rest])
}
