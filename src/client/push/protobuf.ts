/** One field of a protobuf message: a number, eight or four bytes little-endian, or a run of bytes. */
export interface Field {
  readonly number: number
  readonly value: number | Buffer
}

const VARINT = 0
const FIXED64 = 1
const BYTES = 2
const FIXED32 = 5

/**
 * The fields of a protobuf message in the order of the wire, unknown ones included. A number past 2^53 loses its low
 * digits. Throws a `RangeError` where the bytes end too soon or are of no known kind.
 *
 * https://protobuf.dev/programming-guides/encoding/
 */
export function* fields(bytes: Buffer): Generator<Field> {
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let shift = 0; shift < 70; shift += 7) {
      const byte = bytes[at++]
      if (byte === undefined) throw new RangeError('a number ends too soon')
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return value
    }
    throw new RangeError('a number is too long')
  }
  const take = (length: number): Buffer => {
    if (length > bytes.length - at) throw new RangeError('a field ends too soon')
    at += length
    return bytes.subarray(at - length, at)
  }
  while (at < bytes.length) {
    const key = varint()
    const number = Math.floor(key / 8)
    if (number === 0) throw new RangeError('a field has no number')
    switch (key % 8) {
      case VARINT:
        yield { number, value: varint() }
        break
      case BYTES:
        yield { number, value: take(varint()) }
        break
      case FIXED32:
        yield { number, value: take(4).readUInt32LE() }
        break
      case FIXED64:
        yield { number, value: take(8) }
        break
      default:
        throw new RangeError('a field is of an unknown kind')
    }
  }
}

/** The parts of one number that are messages, texts or bytes themselves, as they are read. Throws as `fields`. */
export function* parts(bytes: Buffer, number: number): Generator<Buffer> {
  for (const field of fields(bytes))
    if (field.number === number && Buffer.isBuffer(field.value)) yield field.value
}
