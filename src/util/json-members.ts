/** One member of a JSON object as it stands in the text: its name, and where the text of its value begins and ends. */
export interface JsonMember {
  readonly name: string
  readonly start: number
  readonly end: number
}

/**
 * The members of the JSON object that begins at `from` in `text`, in the order in which they are written. That order
 * is lost by `JSON.parse` when names look like integers, and values sliced by it keep their digits and key order.
 *
 * The text must be valid JSON (parse it first); otherwise the answer means nothing. Gives an empty list when the
 * value there is not an object. A name that stands twice is listed twice.
 */
export function jsonMembers(text: string, from = 0): JsonMember[] {
  const members: JsonMember[] = []
  let at = skipSpace(text, from)
  if (text.charCodeAt(at) !== OPEN_BRACE) return members
  at = skipSpace(text, at + 1)
  while (at < text.length && text.charCodeAt(at) === QUOTE) {
    const nameEnd = skipString(text, at)
    const name = JSON.parse(text.slice(at, nameEnd)) as string
    const start = skipSpace(text, skipSpace(text, nameEnd) + 1)
    const end = skipValue(text, start)
    members.push({ name, start, end })
    at = skipSpace(text, end)
    if (text.charCodeAt(at) !== COMMA) break
    at = skipSpace(text, at + 1)
  }
  return members
}

/** Where the elements of the JSON array that begins at `from` stand; the same rules as for `jsonMembers`. */
export function jsonElements(text: string, from = 0): { readonly start: number; readonly end: number }[] {
  const elements: { start: number; end: number }[] = []
  let at = skipSpace(text, from)
  if (text.charCodeAt(at) !== OPEN_BRACKET) return elements
  at = skipSpace(text, at + 1)
  while (at < text.length && text.charCodeAt(at) !== CLOSE_BRACKET) {
    const end = skipValue(text, at)
    elements.push({ start: at, end })
    at = skipSpace(text, end)
    if (text.charCodeAt(at) !== COMMA) break
    at = skipSpace(text, at + 1)
  }
  return elements
}

const QUOTE = 34
const COMMA = 44
const OPEN_BRACKET = 91
const BACKSLASH = 92
const CLOSE_BRACKET = 93
const OPEN_BRACE = 123
const CLOSE_BRACE = 125

function skipSpace(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) <= 32) at++
  return at
}

/** Index behind the closing quote of the string whose opening quote is at `from`. */
function skipString(text: string, from: number): number {
  let at = from
  for (;;) {
    at = text.indexOf('"', at + 1)
    if (at < 0) return text.length
    let slashes = 0
    while (text.charCodeAt(at - 1 - slashes) === BACKSLASH) slashes++
    if (slashes % 2 === 0) return at + 1
  }
}

/** Index behind the value that begins at `from`. */
function skipValue(text: string, from: number): number {
  const first = text.charCodeAt(from)
  if (first === QUOTE) return skipString(text, from)
  let at = from
  if (first !== OPEN_BRACE && first !== OPEN_BRACKET) {
    for (; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === COMMA || code === CLOSE_BRACE || code === CLOSE_BRACKET || code <= 32) break
    }
    return at
  }
  let depth = 0
  while (at < text.length) {
    const code = text.charCodeAt(at)
    if (code === QUOTE) {
      at = skipString(text, at)
      continue
    }
    if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++
    else if ((code === CLOSE_BRACE || code === CLOSE_BRACKET) && --depth === 0) return at + 1
    at++
  }
  return at
}
