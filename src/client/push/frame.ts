import { isJsonObject, type Json } from '../../model/json.ts'
import { type PushMessage, parseBody, parseMessage } from './message.ts'
import { fields, parts } from './protobuf.ts'

/** What one frame of a socket, or one body of a long poll, said. */
export interface Frame {
  /** In the order in which the server wrote them. */
  readonly messages: readonly PushMessage[]
  /** Texts that the server waits for: `pong`, or an error to a call of a method that we do not have. */
  readonly answers: readonly string[]
  /** True when each message is to be acknowledged by `mack:<mid>`. */
  readonly acknowledge: boolean
  /** What could not be read, one sentence each; the other messages are there all the same. */
  readonly faults: readonly string[]
}

const START = '#!NGINXNMS!#'
const END = '#!NGINXNME!#'
const NOTHING: Frame = { messages: [], answers: [], acknowledge: false, faults: [] }

/**
 * Reads whatever came by looking at it: marked text with any number of messages, JSON, JSON-RPC, or protobuf. The
 * documentation and the servers do not agree on which of them answers what is asked for. Never throws; an empty frame
 * says nothing.
 *
 * https://apidocs.bitrix24.com/settings/interactivity/custom-push-and-pull-client.html
 */
export function readFrame(data: string | Buffer): Frame {
  if (data.length === 0) return NOTHING
  if (typeof data !== 'string') return readBinary(data)
  if (data.includes(START)) return readMarked(data)
  const text = data.trim()
  if (text === '') return NOTHING
  if (text === 'ping') return { ...NOTHING, answers: ['pong'] }
  if (text === 'pong') return NOTHING
  return readJson(text)
}

function readMarked(text: string): Frame {
  const messages: PushMessage[] = []
  const faults: string[] = []
  let at = 0
  for (let start = text.indexOf(START); at < text.length; start = text.indexOf(START, at)) {
    const end = start < 0 ? text.length : start
    if (text.slice(at, end).trim() !== '')
      faults.push('something that is no message stands beside the messages')
    if (start < 0) break
    const block = readBlock(text, start + START.length)
    if (typeof block.value === 'string') faults.push(block.value)
    else messages.push(block.value)
    at = block.next
  }
  return { ...NOTHING, messages, faults }
}

/** The message behind a start mark, or a sentence about it. Its JSON may hold the end mark itself: then a later one ends it. */
function readBlock(text: string, from: number): { value: PushMessage | string; next: number } {
  const first = text.indexOf(END, from)
  if (first < 0) return { value: 'a message has no end mark', next: text.length }
  for (let end = first; end >= 0; end = text.indexOf(END, end + 1)) {
    const json = text.slice(from, end)
    if (end !== first && json.includes(END + START)) break
    const value = parseJson(json)
    if (value !== undefined) {
      return { value: parseMessage(value) ?? 'a message has no command', next: end + END.length }
    }
  }
  return { value: 'a message is not JSON', next: first + END.length }
}

function readJson(text: string): Frame {
  const value = parseJson(text)
  if (value === undefined) return { ...NOTHING, faults: ['a text is neither marked nor JSON'] }
  const messages: PushMessage[] = []
  const answers: string[] = []
  const faults: string[] = []
  let acknowledge = false
  for (const one of Array.isArray(value) ? value : [value]) {
    if (isJsonObject(one) && one.jsonrpc !== undefined) {
      if (one.method === 'incoming.message') {
        acknowledge = true
        add(parseIncoming(one.params))
      } else if (one.method === 'ping') {
        if (one.id !== undefined) answers.push(response(one.id, { result: 'pong' }))
      } else if (one.method !== undefined && one.id !== undefined) {
        answers.push(response(one.id, { error: { code: -32601, message: 'Method not found' } }))
      }
    } else add(parseMessage(one))
  }
  return { messages, answers, acknowledge, faults }

  function add(message: PushMessage | undefined): void {
    if (message === undefined) faults.push('a message has no command')
    else messages.push(message)
  }
}

function parseIncoming(params: Json | undefined): PushMessage | undefined {
  if (!isJsonObject(params)) return undefined
  const { mid } = params
  return parseBody(params.body, typeof mid === 'string' && mid !== '' ? { mid } : {})
}

function response(id: Json, rest: Readonly<Record<string, unknown>>): string {
  return JSON.stringify({ jsonrpc: '2.0', id, ...rest })
}

/**
 * A batch of responses: responses (1) with outgoing messages (1) with messages (1), each with id (1), body (2) and the
 * second in which it was made (4). The id in hexadecimal digits is the `mid`.
 */
function readBinary(data: Buffer): Frame {
  // A server that writes its text as binary frames is understood too.
  if (data.subarray(0, 2).toString('latin1') === '#!') return readFrame(data.toString())
  const messages: PushMessage[] = []
  const faults: string[] = []
  try {
    for (const answer of parts(data, 1))
      for (const outgoing of parts(answer, 1))
        for (const bytes of parts(outgoing, 1)) {
          const message = readOutgoing(bytes)
          if (message === undefined) faults.push('a message has no command')
          else messages.push(message)
        }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    faults.push(`a binary frame cannot be read: ${error.message}`)
  }
  return { ...NOTHING, messages, faults }
}

function readOutgoing(bytes: Buffer): PushMessage | undefined {
  let mid = ''
  let body = ''
  let sentAt = 0
  for (const { number, value } of fields(bytes)) {
    if (number === 1 && Buffer.isBuffer(value)) mid = value.toString('hex')
    if (number === 2 && Buffer.isBuffer(value)) body = value.toString()
    if (number === 4 && typeof value === 'number') sentAt = value * 1000
  }
  return parseBody(body, { ...(mid === '' ? {} : { mid }), ...(sentAt === 0 ? {} : { sentAt }) })
}

function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}
