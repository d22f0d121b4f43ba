import { type Document, isMap, isScalar, LineCounter, type Node, parseDocument } from 'yaml'
import { ConfigError } from '../../../model/errors.ts'
import { type DocumentFault, MAX_FILE_BYTES, readDocument, type SubscriptionDocument } from './document.ts'

/** Faults that are shown at once. */
const MOST_FAULTS = 20

/**
 * Reads the text of a subscriptions file. Throws a `ConfigError` with one sentence a fault, each with the line and the
 * place: `subscriptions.yaml:12: events[0].name must be …`.
 */
export function parseSubscriptions(text: string, file: string): SubscriptionDocument {
  if (Buffer.byteLength(text) > MAX_FILE_BYTES)
    throw new ConfigError([`${file} has more than ${MAX_FILE_BYTES} bytes.`])
  const lines = new LineCounter()
  const parsed = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  const at = (offset: number): string => `${file}:${lines.linePos(offset).line}`
  if (parsed.errors.length > 0)
    throw wrong(parsed.errors.map(({ pos, message }) => `${at(pos[0])}: ${message}`))
  // Aliases within bounds: a short text must not become a long one. https://eemeli.org/yaml/#data-schemas
  const read = readDocument(plain(parsed, file))
  if ('document' in read) return read.document
  throw wrong(
    read.faults.map((fault) => `${at(offsetOf(parsed, fault))}: ${nameOf(fault)} ${fault.message}.`),
  )
}

function plain(parsed: Document, file: string): unknown {
  try {
    return parsed.toJS({ maxAliasCount: 100 })
  } catch (error) {
    throw wrong([`${file}: ${error instanceof Error ? error.message : String(error)}`])
  }
}

function wrong(faults: readonly string[]): ConfigError {
  const shown = faults.slice(0, MOST_FAULTS)
  const more = faults.length - shown.length
  return new ConfigError(more > 0 ? [...shown, `… and ${more} more.`] : shown, {
    hint: 'docs/subscriptions.md describes the file.',
  })
}

/** Where the fault stands: at the name itself, or at what should hold it. */
function offsetOf(parsed: Document, { path }: DocumentFault): number {
  for (let length = path.length; length > 0; length -= 1) {
    const parent = length === 1 ? parsed.contents : parsed.getIn(path.slice(0, length - 1), true)
    if (isMap(parent)) {
      const pair = parent.items.find(({ key }) => isScalar(key) && key.value === path[length - 1])
      if (isScalar(pair?.key)) return pair.key.range?.[0] ?? 0
    }
    const node = parsed.getIn(path.slice(0, length), true) as Node | undefined
    if (node?.range) return node.range[0]
  }
  return parsed.contents?.range?.[0] ?? 0
}

function nameOf({ path }: DocumentFault): string {
  if (path.length === 0) return 'the file'
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`))
    .join('')
}
