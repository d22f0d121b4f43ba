import { bytesFromJson, bytesToJson } from '../../util/json-bytes.ts'
import type { Message } from '../broker.ts'

type Properties = Omit<Message, 'body'>

/** Everything of a message but its body as JSON. Bytes in headers become `{ '!': 'bytes', base64 }`. */
export function encodeProperties(message: Message): string {
  const { body: _, headers, ...properties } = message
  return JSON.stringify({ ...properties, headers: bytesToJson(headers) })
}

/** The message again, with its body. */
export function decodeMessage(properties: string, body: Buffer): Message {
  const { headers, ...rest } = JSON.parse(properties) as Properties
  return { ...rest, body, headers: bytesFromJson(headers) as Message['headers'] }
}
