import type { BatchEntry } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { isMethodName } from '../../model/methods.ts'
import { jsonMembers } from '../../util/json-members.ts'
import { checkReferences } from './references.ts'

/** How parameters given as an object or array are handed over: as they are, or as query text of one's own. */
export type EncodeParams = (params: JsonObject | readonly Json[]) => BatchEntry['params']

/**
 * The commands of a batch in the order in which they are written, whatever their names. A command is a text
 * `"method?query"`, an array `[method, params]` or an object `{ method, params }`; parameters may be left out.
 * `cmd` may also be an array of them; the names are then `0`, `1`, … An empty `cmd` gives no entries.
 *
 * `text` is the JSON of the whole message, needed because names that look like numbers lose their order when parsed.
 *
 * Throws a `CommandError`: `CMD_MISSING`, `CMD_INVALID` (a command of another form), `METHOD_INVALID`,
 * `ERROR_BATCH_METHOD_NOT_ALLOWED` (a batch inside the batch, an upload or a download), `REFERENCE_UNKNOWN`.
 */
export function parseBatchCommands(
  params: JsonObject,
  text: string,
  encode: EncodeParams = asTheyAre,
): BatchEntry[] {
  const cmd = params.cmd
  if (cmd === undefined || cmd === null) {
    throw new CommandError('CMD_MISSING', 'A batch needs its commands in params.cmd, and there is none.', {
      hint: 'Send params: { "cmd": { "deal": "crm.deal.get?id=7" } }, or the action "list" to read a whole list.',
    })
  }
  if (typeof cmd !== 'object') {
    throw new CommandError(
      'CMD_INVALID',
      `params.cmd must be an object of commands by name, not ${kindOf(cmd)}.`,
      {
        hint: FORMS,
      },
    )
  }
  const entries = Array.isArray(cmd)
    ? cmd.map((command, index) => parseEntry(String(index), command, encode))
    : namesInOrder(cmd as JsonObject, text).map((name) =>
        parseEntry(name, (cmd as JsonObject)[name] as Json, encode),
      )
  checkReferences(entries)
  return entries
}

/** `halt` as PHP clients and JSON clients write it; `undefined` for a value that is neither yes nor no. */
export function parseHalt(value: Json | undefined): boolean | undefined {
  if (value === undefined || value === null) return false
  const word = String(value).toLowerCase()
  if (word === '1' || word === 'true' || word === 'y') return true
  if (word === '0' || word === 'false' || word === 'n' || word === '') return false
  return undefined
}

const FORMS =
  'A command is "crm.deal.get?id=7", ["crm.deal.get", { "id": 7 }] or { "method": "crm.deal.get", "params": { "id": 7 } }.'
const LOOKS_LIKE_INDEX = /^\d{1,10}$/
const NOT_INSIDE = new Set(['batch', 'download', 'upload'])

function asTheyAre(params: JsonObject | readonly Json[]): BatchEntry['params'] {
  return params
}

/** JSON objects list names that look like numbers first and ascending; the text knows the order that was meant. */
function namesInOrder(cmd: JsonObject, text: string): string[] {
  const names = Object.keys(cmd)
  if (!names.some((name) => LOOKS_LIKE_INDEX.test(name))) return names
  const params = jsonMembers(text).findLast((member) => member.name === 'params')
  const written = jsonMembers(text, params?.start).findLast((member) => member.name === 'cmd')
  return [...new Set(jsonMembers(text, written?.start).map((member) => member.name))]
}

function parseEntry(name: string, command: Json, encode: EncodeParams): BatchEntry {
  if (typeof command === 'string') {
    const mark = command.indexOf('?')
    const method = mark < 0 ? command : command.slice(0, mark)
    return { name, method: checkMethod(name, method), params: mark < 0 ? '' : command.slice(mark + 1) }
  }
  if (Array.isArray(command) && command.length >= 1 && command.length <= 2) {
    return { name, method: checkMethod(name, command[0]), params: encode(checkParams(name, command[1])) }
  }
  if (isJsonObject(command)) {
    return {
      name,
      method: checkMethod(name, command.method),
      params: encode(checkParams(name, command.params)),
    }
  }
  throw new CommandError('CMD_INVALID', `The command "${name}" is ${kindOf(command)}, which is no command.`, {
    hint: FORMS,
  })
}

function checkMethod(name: string, method: Json | undefined): string {
  if (typeof method !== 'string' || !isMethodName(method)) {
    const what =
      method === undefined || method === '' ? 'has no method' : 'has a method name that no method can have'
    throw new CommandError('METHOD_INVALID', `The command "${name}" ${what}.`, { hint: FORMS })
  }
  if (NOT_INSIDE.has(method.toLowerCase())) {
    throw new CommandError(
      'ERROR_BATCH_METHOD_NOT_ALLOWED',
      `The command "${name}" calls ${method}, which the portal does not allow inside a batch.`,
      { hint: 'Put the inner commands into this cmd; any number is allowed, they are sent 50 a request.' },
    )
  }
  return method
}

function checkParams(name: string, params: Json | undefined): JsonObject | readonly Json[] {
  if (params === undefined || params === null) return {}
  if (typeof params === 'object') return Array.isArray(params) && params.length === 0 ? {} : params
  throw new CommandError(
    'CMD_INVALID',
    `The params of the command "${name}" are ${kindOf(params)}, not an object.`,
    {
      hint: FORMS,
    },
  )
}

/** What a JSON value is, with its article, for sentences: "a number", "an array", "null". */
export function kindOf(value: Json | undefined): string {
  if (value === undefined) return 'nothing'
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object'
    ? 'an object'
    : value === true || value === false
      ? `${value}`
      : `a ${typeof value}`
}
