import { isUtf8 } from 'node:buffer'
import type { Message } from '../../brokers/broker.ts'
import { CommandError } from '../../model/errors.ts'
import type { Json } from '../../model/json.ts'
import { jsonMembers } from '../../util/json-members.ts'

/** Bodies above this are refused with status 413 unless the operator sets another bound: 16 MiB. */
export const DEFAULT_MAX_BODY_BYTES = 16 * 1024 * 1024

/** PHP reads JSON to this depth and takes anything deeper for no parameters at all. https://www.php.net/json_decode */
const MAX_DEPTH = 512

/**
 * The body as text, without a byte order mark. Throws a `CommandError`: `BODY_TOO_LARGE` (413) above `maxBytes`,
 * `BODY_NOT_UTF8`.
 */
export function readText(message: Message, maxBytes: number): string {
  const { body } = message
  if (body.length > maxBytes) {
    throw new CommandError(
      'BODY_TOO_LARGE',
      `The body has ${body.length} bytes; at most ${maxBytes} may be sent.`,
      {
        status: 413,
        hint: 'Split the command, or send files by a link instead of inside the message.',
      },
    )
  }
  if (!isUtf8(body)) {
    throw new CommandError('BODY_NOT_UTF8', 'The body is not UTF-8 text.', {
      hint: 'Write the JSON in UTF-8 and do not compress it.',
    })
  }
  return withoutMark(body.toString('utf8'))
}

/** The text without the byte order mark that some Windows programs write in front. */
export function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text
}

/**
 * The value of a JSON text. Numbers that a double cannot hold come as the text of their digits: query text and most
 * fields of the portal take both, and nothing is rounded on the way.
 *
 * Throws a `CommandError`: `BODY_NOT_JSON` (also for an empty text), `BODY_TOO_DEEP` (more than 512 levels).
 */
export function parseJson(text: string): Json {
  // A level needs two characters, so a short text cannot be too deep.
  if (text.length > 2 * MAX_DEPTH && isDeeperThan(text, MAX_DEPTH)) {
    throw new CommandError('BODY_TOO_DEEP', `The JSON nests deeper than ${MAX_DEPTH} levels.`, {
      hint: 'The portal would read such parameters as none at all; flatten them.',
    })
  }
  try {
    const value = JSON.parse(text) as Json
    return LONG_DIGITS.test(text) ? (JSON.parse(quoteLongNumbers(text)) as Json) : value
  } catch (error) {
    throw notJson(text, error)
  }
}

/** The text of a top-level member without spaces between its parts; of two with one name the last counts. */
export function memberText(text: string, name: string): string | undefined {
  const member = jsonMembers(text).findLast((candidate) => candidate.name === name)
  return member === undefined ? undefined : compactJson(text.slice(member.start, member.end))
}

/** A valid JSON text without the spaces between its parts; digits, escapes and order stay as they are. */
export function compactJson(text: string): string {
  return outsideStrings(text, (part) => part.replace(SPACES, ''))
}

/** True when the text holds a run of digits that may be longer than a double holds exactly. */
export function holdsLongNumber(text: string): boolean {
  return LONG_DIGITS.test(text)
}

const SPACES = /[ \t\n\r]+/g
const LONG_DIGITS = /[\d.]{16}/
const NUMBER = /-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

function quoteLongNumbers(text: string): string {
  return outsideStrings(text, (part) =>
    part.replace(NUMBER, (digits) =>
      digits.length < 16 || String(Number(digits)) === digits ? digits : `"${digits}"`,
    ),
  )
}

function outsideStrings(text: string, change: (part: string) => string): string {
  let out = ''
  let at = 0
  while (at < text.length) {
    const open = text.indexOf('"', at)
    if (open < 0) return out + change(text.slice(at))
    const end = endOfString(text, open)
    out += change(text.slice(at, open)) + text.slice(open, end)
    at = end
  }
  return out
}

/** Index behind the closing quote of the string whose opening quote is at `open`; the text's length when it has none. */
function endOfString(text: string, open: number): number {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === 92) slashes++
    if (slashes % 2 === 0) return at + 1
  }
  return text.length
}

function isDeeperThan(text: string, limit: number): boolean {
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 34) at = endOfString(text, at) - 1
    else if (code === 91 || code === 123) {
      if (++depth > limit) return true
    } else if (code === 93 || code === 125) depth--
  }
  return false
}

/** Says where the text breaks off, and never repeats it: it may hold secrets. */
function notJson(text: string, error: unknown): CommandError {
  if (text.trim() === '') {
    return new CommandError('BODY_NOT_JSON', 'The body is empty.', { hint: 'Send a JSON object.' })
  }
  const position = /position (\d+)/.exec(error instanceof Error ? error.message : '')?.[1]
  const where = position === undefined ? '' : `: it breaks off at character ${position}`
  return new CommandError('BODY_NOT_JSON', `The body is not JSON${where}.`, {
    hint: 'Build the text with a JSON library rather than by hand; the usual causes are single quotes and trailing commas.',
  })
}
