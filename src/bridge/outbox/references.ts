import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json } from '../../model/json.ts'

/** `{{result.ID}}` or `{{steps.0.result.item.id}}`: a value of an earlier reply. */
export interface Reference {
  /** As written between the braces, without spaces. */
  readonly text: string
  /** Which step it means; absent for the one right before. */
  readonly step?: number
  /** Names and numbers that lead into the result. */
  readonly path: readonly string[]
}

const BRACES = /\\?\{\{(.*?)\}\}/gs
const FORM = /^(?:steps\.(\d{1,3})\.)?result((?:\.[^.{}\s]+)*)$/

/** All references in the texts of a value; names of members are left as they are. Throws a `CommandError` for braces that hold something else. */
export function referencesIn(value: Json): Reference[] {
  if (typeof value === 'string')
    return [...value.matchAll(BRACES)]
      .filter(([all]) => !all.startsWith('\\'))
      .map(([, inner]) => parseReference(inner as string))
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  return isJsonObject(value) ? Object.values(value).flatMap(referencesIn) : []
}

/**
 * The value with every reference replaced by what `find` gives. A text that is one reference and nothing else becomes
 * the value itself, with its type; inside of other text only texts, numbers and booleans make sense, others throw a
 * `CommandError`. `\{{` stands for two braces. What was put in is not looked at again.
 */
export function fillReferences(value: Json, find: (reference: Reference) => Json): Json {
  if (typeof value === 'string') return fillText(value, find)
  if (Array.isArray(value)) return value.map((one) => fillReferences(one, find))
  if (!isJsonObject(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fillReferences(one, find)]))
}

/** What a path leads to. Throws a `CommandError` when there is nothing. */
export function valueAt(result: Json, { text, path }: Reference): Json {
  let at: Json | undefined = result
  for (const word of path) {
    if (Array.isArray(at)) at = /^\d+$/.test(word) ? (at as readonly Json[])[Number(word)] : undefined
    else at = isJsonObject(at) && Object.hasOwn(at, word) ? at[word] : undefined
  }
  if (at === undefined || at === null) throw missingReference(text)
  return at
}

/** Nothing is there that a command of a chain asks for. */
export function missingReference(text: string): CommandError {
  return new CommandError('CHAIN_REFERENCE_MISSING', `The reply has no value at {{${text}}}.`, {
    hint: 'Look at the result of that step in b24_inbox; names are case-sensitive.',
  })
}

function fillText(text: string, find: (reference: Reference) => Json): Json {
  const whole = /^\{\{([^{}]*)\}\}$/.exec(text)
  if (whole !== null) return find(parseReference(whole[1] as string))
  return text.replace(BRACES, (all, inner: string) => {
    if (all.startsWith('\\')) return all.slice(1)
    const reference = parseReference(inner)
    const value = find(reference)
    if (typeof value === 'object')
      throw new CommandError(
        'CHAIN_REFERENCE_INVALID',
        `{{${reference.text}}} stands inside of a text, and its value is no text or number.`,
        { hint: 'Let the reference stand alone in its quotes, then the whole value is put there.' },
      )
    return String(value)
  })
}

function parseReference(inner: string): Reference {
  const text = inner.trim()
  const match = FORM.exec(text)
  if (match === null)
    throw new CommandError('CHAIN_REFERENCE_INVALID', `{{${text.slice(0, 80)}}} is not a reference.`, {
      hint: 'Write {{result.ID}} or {{steps.0.result.ID}}; for two braces as text write \\\\{{ in JSON.',
    })
  const [, step, path = ''] = match
  return {
    text,
    ...(step === undefined ? {} : { step: Number(step) }),
    path: path.split('.').slice(1),
  }
}
