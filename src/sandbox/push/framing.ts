import type { PushMessage } from './history.ts'
import { BACKEND, encodeBatch } from './protobuf.ts'

/** How a connection wants its messages: marked text, a JSON array, protobuf, or calls of JSON-RPC. */
export type Format = 'text' | 'json' | 'binary' | 'rpc'

/** The content type of a long-polling answer. */
export const CONTENT_TYPES: Readonly<Record<Format, string>> = {
  text: 'text/plain',
  json: 'application/json',
  binary: 'application/octet-stream',
  rpc: 'application/json',
}

/**
 * One frame, or one long-polling body, with all the messages.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export function encodeFrame(messages: readonly PushMessage[], format: Format): string | Buffer {
  if (format === 'binary') return encodeBatch(messages)
  if (format === 'rpc') return encodeCalls(messages)
  if (format === 'json') return JSON.stringify(messages.map(shown))
  return messages.map((message) => `#!NGINXNMS!#${JSON.stringify(shown(message))}#!NGINXNME!#`).join('')
}

/** `incoming.message` for each; several are a batch. https://www.jsonrpc.org/specification */
function encodeCalls(messages: readonly PushMessage[]): string {
  const calls = messages.map(({ mid, text }) => ({
    jsonrpc: '2.0',
    method: 'incoming.message',
    params: { mid, body: text, sender: { type: BACKEND } },
  }))
  return JSON.stringify(calls.length === 1 ? calls[0] : calls)
}

function shown({ mid, createdMs, text }: PushMessage) {
  return {
    id: Number(mid.slice(-16)),
    mid,
    channel: '-',
    tag: String(createdMs % 1000).padStart(3, '0'),
    time: new Date(createdMs).toUTCString(),
    text,
  }
}
