import type { HeaderValue, Message } from '../../brokers/broker.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { jsonMembers } from '../../util/json-members.ts'

/** What is changed of a message before it is sent again; what is left out stays as it was, to the byte. */
export interface LetterEdit {
  /** A whole new body. */
  readonly body?: Buffer
  readonly method?: string
  /** New parameters, or how they come from those that are there. */
  readonly params?: JsonObject | readonly Json[] | ((before: JsonObject) => JsonObject)
  /** Headers to set; `null` removes one. */
  readonly headers?: Readonly<Record<string, string | null>>
}

/**
 * The message with the changes: `method` and `params` are put where its contract has them, in the JSON of the body or,
 * for rabbitmq-to-bitrix24, in a header and as the body. Throws a `CommandError` `EDIT_IMPOSSIBLE` where the body cannot
 * be read well enough.
 */
export function editMessage(message: Message, contract: string | undefined, edit: LetterEdit): Message {
  const headers = { ...message.headers }
  for (const [name, value] of Object.entries(edit.headers ?? {})) {
    if (value === null) delete headers[name]
    else headers[name] = value
  }
  const given = { ...message, headers, body: edit.body ?? message.body }
  if (edit.method === undefined && edit.params === undefined) return given
  return inHeaders(given, contract) ? editBare(given, headers, edit) : editEnvelope(given, edit)
}

/** Method in a header, parameters as the body. */
function editBare(message: Message, headers: Record<string, HeaderValue>, edit: LetterEdit): Message {
  if (edit.method !== undefined) headers.method = edit.method
  if (edit.params === undefined) return { ...message, headers }
  const params = paramsOf(edit.params, () => {
    const text = message.body.toString('utf8').trim()
    return text === '' ? {} : parse(text)
  })
  return { ...message, headers, body: Buffer.from(JSON.stringify(params)) }
}

/** Both as members of a JSON object; all its other members keep their text. */
function editEnvelope(message: Message, edit: LetterEdit): Message {
  let text = message.body.toString('utf8')
  const value = parse(text)
  if (!isJsonObject(value)) throw impossible('The body is no JSON object.')
  const set: [name: string, value: Json][] = []
  if (edit.method !== undefined) set.push(['method', edit.method])
  if (edit.params !== undefined) set.push(['params', paramsOf(edit.params, () => value.params ?? {}) as Json])
  for (const [name, wanted] of set) text = withMember(text, name, JSON.stringify(wanted))
  return { ...message, body: Buffer.from(text) }
}

function withMember(text: string, name: string, value: string): string {
  const members = jsonMembers(text)
  const member = members.findLast((one) => one.name === name)
  if (member !== undefined) return text.slice(0, member.start) + value + text.slice(member.end)
  const brace = text.indexOf('{') + 1
  return `${text.slice(0, brace)}${JSON.stringify(name)}:${value}${members.length === 0 ? '' : ','}${text.slice(brace)}`
}

function paramsOf(wanted: NonNullable<LetterEdit['params']>, before: () => unknown): unknown {
  if (typeof wanted !== 'function') return wanted
  const value = before()
  if (isJsonObject(value)) return wanted(value)
  if (Array.isArray(value) && value.length === 0) return wanted({})
  throw impossible('The parameters that are there are no JSON object.')
}

/** A message of another program tells by its headers which form it has. */
function inHeaders(message: Message, contract: string | undefined): boolean {
  if (contract !== undefined) return contract === 'rabbitmq-to-bitrix24'
  return typeof message.headers.method === 'string'
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw impossible('The body is no JSON.')
  }
}

function impossible(why: string): CommandError {
  return new CommandError('EDIT_IMPOSSIBLE', `${why} Its parameters cannot be changed one by one.`, {
    hint: 'Give a whole new body.',
  })
}
