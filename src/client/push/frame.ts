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
/** Answers to one frame at most. */
const MOST_ANSWERS = 100
/** An id that is longer is none that we gave or would give. */
const LONGEST_ID = 200

/** What could not be read of a frame: a server that sends rubbish fills neither our log nor our time. */
class Faults {
  readonly sentences: string[] = []
  #count = 0

  note(sentence: string): void {
    this.#count++
    if (this.#count <= MOST_SENTENCES) this.sentences.push(sentence)
  }

  /** Then the rest of the frame is left unread. */
  get areTooMany(): boolean {
    return this.#count >= MOST_FAULTS
  }
}

const MOST_SENTENCES = 10
const MOST_FAULTS = 1000
/** What looking for the end of a damaged message costs besides its length. */
const LOOK_BYTES = 1000

/**
 * Reads whatever came by looking at it: marked text with any number of messages, JSON, JSON-RPC, or protobuf. The
 * documentation and the servers do not agree on which of them answers what is asked for. Never throws, and takes time and
 * memory by the length of the frame, whatever is in it; an empty frame says nothing.
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
  const faults = new Faults()
  // Each block is read once; looking for the end of a damaged one again and again has a bound for all of them.
  const patience = { bytes: 4 * text.length + 1_000_000 }
  let at = 0
  for (let start = text.indexOf(START); at < text.length; start = text.indexOf(START, at)) {
    if (faults.areTooMany) break
    const end = start < 0 ? text.length : start
    if (text.slice(at, end).trim() !== '')
      faults.note('something that is no message stands beside the messages')
    if (start < 0) break
    const block = readBlock(text, start + START.length, patience)
    if (typeof block.value === 'string') faults.note(block.value)
    else messages.push(block.value)
    at = block.next
  }
  return { ...NOTHING, messages, faults: faults.sentences }
}

/** The message behind a start mark, or a sentence about it. Its JSON may hold the end mark itself: then a later one ends it. */
function readBlock(
  text: string,
  from: number,
  patience: { bytes: number },
): { value: PushMessage | string; next: number } {
  const first = text.indexOf(END, from)
  if (first < 0) return { value: 'a message has no end mark', next: text.length }
  for (let end = first; end >= 0; end = text.indexOf(END, end + 1)) {
    const json = text.slice(from, end)
    if (end !== first) {
      patience.bytes -= json.length + LOOK_BYTES
      if (patience.bytes < 0 || json.includes(END + START)) break
    }
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
  const faults = new Faults()
  let acknowledge = false
  for (const one of Array.isArray(value) ? value : [value]) {
    if (faults.areTooMany) break
    if (isJsonObject(one) && one.jsonrpc !== undefined) {
      if (one.method === 'incoming.message') {
        acknowledge = true
        add(parseIncoming(one.params))
      } else if (one.method === 'ping') {
        answer(one.id, { result: 'pong' })
      } else if (one.method !== undefined) {
        answer(one.id, { error: { code: -32601, message: 'Method not found' } })
      }
    } else add(parseMessage(one))
  }
  return { messages, answers, acknowledge, faults: faults.sentences }

  function add(message: PushMessage | undefined): void {
    if (message === undefined) faults.note('a message has no command')
    else messages.push(message)
  }

  /** A call without an id wants no answer; one with something else than a name or a number for an id gets none. */
  function answer(id: Json | undefined, rest: Readonly<Record<string, unknown>>): void {
    const known = typeof id === 'number' || (typeof id === 'string' && id.length <= LONGEST_ID)
    if (known && answers.length < MOST_ANSWERS) answers.push(JSON.stringify({ jsonrpc: '2.0', id, ...rest }))
  }
}

function parseIncoming(params: Json | undefined): PushMessage | undefined {
  if (!isJsonObject(params)) return undefined
  const { mid } = params
  return parseBody(params.body, typeof mid === 'string' && mid !== '' ? { mid } : {})
}

/**
 * A batch of responses: responses (1) with outgoing messages (1) with messages (1), each with id (1), body (2) and the
 * second in which it was made (4). The id in hexadecimal digits is the `mid`.
 */
function readBinary(data: Buffer): Frame {
  // A server that writes its text as binary frames is understood too.
  if (data.subarray(0, 2).toString('latin1') === '#!') return readFrame(data.toString())
  const messages: PushMessage[] = []
  const faults = new Faults()
  try {
    for (const answer of parts(data, 1))
      for (const outgoing of parts(answer, 1))
        for (const bytes of parts(outgoing, 1)) {
          if (faults.areTooMany) return { ...NOTHING, messages, faults: faults.sentences }
          const message = readOutgoing(bytes)
          if (message === undefined) faults.note('a message has no command')
          else messages.push(message)
        }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    faults.note(`a binary frame cannot be read: ${error.message}`)
  }
  return { ...NOTHING, messages, faults: faults.sentences }
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
