import type { BatchEntry } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import type { Json } from '../../model/json.ts'

/**
 * Refuses a batch in which `$result[name]` (also `$total`, `$next`, `$time`, `$error`; written plainly or
 * percent-encoded) names something that is not an earlier command. The portal would not complain: it would put the
 * whole map of results in its place.
 *
 * Throws a `CommandError` `REFERENCE_UNKNOWN` that names the command and the reference.
 *
 * https://apidocs.bitrix24.com/settings/how-to-call-rest-api/batch.html
 */
export function checkReferences(entries: readonly BatchEntry[]): void {
  const earlier = new Set<string>()
  for (const entry of entries) {
    for (const reference of referencesIn(entry.params)) {
      if (!earlier.has(reference.name)) throw unknownReference(entry, reference, entries)
    }
    earlier.add(entry.name)
  }
}

interface Reference {
  /** As the portal reads it, decoded: `$result[name]`. */
  readonly text: string
  readonly name: string
}

/** All references in parameters or in query text, in order. Names of parameters are not substituted by the portal. */
function referencesIn(params: Json): Reference[] {
  const found: Reference[] = []
  // Query text is decoded once by the portal; values of an object are encoded by us, so they arrive as they are.
  if (typeof params === 'string') collect(decodeQuery(params), found)
  else walk(params, found)
  return found
}

/** The bound keeps a text of many open brackets from being searched to its end for each of them. */
const REFERENCE = /\$(?:result|total|next|time|error)\[([^\]]{0,255})\]/g

function walk(value: Json, found: Reference[]): void {
  if (typeof value === 'string') collect(value, found)
  else if (Array.isArray(value)) for (const item of value) walk(item, found)
  else if (typeof value === 'object' && value !== null)
    for (const item of Object.values(value)) walk(item, found)
}

function collect(text: string, found: Reference[]): void {
  if (!text.includes('$')) return
  for (const match of text.matchAll(REFERENCE)) found.push({ text: match[0], name: match[1] ?? '' })
}

function decodeQuery(text: string): string {
  if (!text.includes('%')) return text
  try {
    return decodeURIComponent(text)
  } catch {
    return text.replace(/%([2-7][0-9a-f])/gi, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    )
  }
}

function unknownReference(
  entry: BatchEntry,
  reference: Reference,
  entries: readonly BatchEntry[],
): CommandError {
  const later = entries.some((other) => other.name === reference.name)
  const why = later ? 'does not stand before it' : 'is not a command of this cmd'
  return new CommandError(
    'REFERENCE_UNKNOWN',
    `The command "${entry.name}" refers to ${reference.text}, and "${reference.name}" ${why}.`,
    {
      hint: 'A reference may only name an earlier command of the same cmd; the portal runs them in the order written.',
    },
  )
}
