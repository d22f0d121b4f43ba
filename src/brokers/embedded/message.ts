import type { HeaderValue, Message } from '../broker.ts'

type Properties = Omit<Message, 'body'>

/** Everything of a message but its body as JSON. Bytes in headers become `{ '!': 'bytes', base64 }`. */
export function encodeProperties(message: Message): string {
  const { body: _, headers, ...properties } = message
  return JSON.stringify({ ...properties, headers: encodeTable(headers) })
}

/** The message again, with its body. */
export function decodeMessage(properties: string, body: Buffer): Message {
  const { headers, ...rest } = JSON.parse(properties) as Properties
  return { ...rest, body, headers: decodeTable(headers as Table) }
}

type Table = Readonly<Record<string, HeaderValue>>

function encodeTable(table: Table): Record<string, unknown> {
  const encoded: Record<string, unknown> = {}
  for (const name in table) encoded[name] = encodeValue(table[name]!)
  return encoded
}

function encodeValue(value: HeaderValue): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Buffer.isBuffer(value)) return { '!': 'bytes', base64: value.toString('base64') }
  if (Array.isArray(value)) return value.map(encodeValue)
  return encodeTable(value as Table)
}

function decodeTable(table: Table): Record<string, HeaderValue> {
  const decoded: Record<string, HeaderValue> = {}
  for (const name in table) decoded[name] = decodeValue(table[name]!)
  return decoded
}

function decodeValue(value: HeaderValue): HeaderValue {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(decodeValue)
  const table = value as Table
  if (table['!'] === 'bytes' && typeof table.base64 === 'string') return Buffer.from(table.base64, 'base64')
  return decodeTable(table)
}
