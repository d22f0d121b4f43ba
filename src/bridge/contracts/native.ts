import { distance } from 'fastest-levenshtein'
import type { z } from 'zod'
import type { Message } from '../../brokers/broker.ts'
import type { CallCommand, Command, ReplyTarget, VerifyRecipe } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { isMethodName, isReadMethod } from '../../model/methods.ts'
import { kindOf, parseBatchCommands, parseHalt } from './batch-commands.ts'
import type { Contract } from './contract.ts'
import { readRoutingHeaders } from './headers.ts'
import { DEFAULT_MAX_BODY_BYTES, parseJson, readText } from './json-text.ts'
import { nativeReply } from './native-reply.ts'
import { type NativeCommandBody, nativeCommandSchema } from './native-schema.ts'

/** Settings of the native contract. */
export interface NativeContractOptions {
  /** Larger bodies are refused with status 413; 16 MiB unless set. */
  readonly maxBodyBytes?: number
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

/**
 * The contract for new programs: JSON in, JSON out, see `docs/commands.md`. What the body leaves out is taken from the
 * headers `x-b24-portal`, `x-b24-priority`, `x-b24-order-key` and the property `expiration`; the body wins.
 */
export function createNativeContract(options: NativeContractOptions = {}): Contract {
  const maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES
  return {
    name: 'native',
    parse: (message) => parseNative(message, maxBodyBytes),
    reply: (message, command, outcome, context) =>
      nativeReply(message, command, outcome, context, maxBodyBytes),
  }
}

function parseNative(message: Message, maxBodyBytes: number): Command {
  const text = readText(message, maxBodyBytes)
  const value = parseJson(text)
  if (!isJsonObject(value)) {
    throw new CommandError('BODY_NOT_OBJECT', `The body is ${kindOf(value)}; a command is a JSON object.`, {
      hint: 'Send { "method": "crm.deal.get", "params": { "id": 7 } }, one command a message.',
    })
  }
  const checked = nativeCommandSchema.safeParse(value)
  if (!checked.success) throw explain(checked.error.issues[0], value)
  const body = checked.data
  const action = body.action ?? (body.method?.toLowerCase() === 'batch' ? 'batch' : 'call')
  const base = commonParts(message, body, checkMethod(body, action))
  // zod copies what it checks; the parsed value itself is handed on.
  const params = (value.params ?? {}) as JsonObject | readonly Json[]
  if (action === 'call') return { ...base, action, params, ...callParts(body, params) }
  onlyForCalls(body)
  if (Array.isArray(params) && params.length > 0) {
    throw new CommandError(
      'PARAMS_INVALID',
      `The params of the action ${action} must be an object, not an array.`,
      {
        hint: 'Only methods that take parameters by position take an array, and those are called with the action call.',
      },
    )
  }
  const named = (Array.isArray(params) ? {} : params) as JsonObject
  if (action === 'list') return { ...base, action, params: named }
  const halt = parseHalt(named.halt)
  if (halt === undefined) {
    throw new CommandError('PARAMS_INVALID', 'params.halt must be true or false.', {
      hint: 'Left out it is false.',
    })
  }
  const entries = parseBatchCommands(named, text)
  if (entries.length === 0) {
    throw new CommandError('CMD_EMPTY', 'The batch has no commands.', {
      hint: 'Put at least one into params.cmd: { "deal": "crm.deal.get?id=7" }.',
    })
  }
  return { ...base, action, params: named, entries, halt }
}

function checkMethod(body: NativeCommandBody, action: Command['action']): string {
  const method = body.method ?? (action === 'batch' ? 'batch' : undefined)
  if (method === undefined) {
    throw new CommandError('METHOD_MISSING', 'The command names no method.', {
      hint: 'Add "method": "crm.deal.get", or "action": "batch" with the commands in params.cmd.',
    })
  }
  if (!isMethodName(method)) {
    throw new CommandError('METHOD_INVALID', 'The method name has characters that no method has.', {
      hint: 'A method is words with dots between them, such as crm.deal.get: no spaces, slashes or question marks.',
    })
  }
  if (action !== 'batch' && method.toLowerCase() === 'batch') {
    throw new CommandError('ACTION_INVALID', `The method batch cannot be used with the action ${action}.`, {
      hint: 'Use the action "batch", or leave the action out.',
    })
  }
  return method
}

/** Everything but action and parameters. */
function commonParts(message: Message, body: NativeCommandBody, method: string) {
  const routing = readRoutingHeaders(message.headers)
  const base: Mutable<Omit<Command, 'action' | 'params' | 'entries' | 'halt'>> = {
    method,
    meta: (body.meta ?? {}) as Json,
  }
  const portal = body.portal ?? routing.portal
  const priority = body.priority ?? routing.priority
  const orderKey = body.orderKey ?? routing.orderKey
  const deadlineMs = body.deadlineMs ?? expirationMs(message.expiration)
  if (portal !== undefined) base.portal = portal
  if (typeof body.application === 'string') base.application = body.application
  if (typeof body.as === 'string' || typeof body.as === 'number') base.as = String(body.as)
  if (priority !== undefined) base.priority = priority
  if (orderKey !== undefined) base.orderKey = orderKey
  if (deadlineMs !== undefined) base.deadlineMs = deadlineMs
  if (body.reply !== undefined && body.reply !== null) base.reply = replyOf(body.reply)
  return base
}

/** What only single calls have: the version of the API, and how to look a write up. */
function callParts(
  { api, verify, method = '' }: NativeCommandBody,
  params: JsonObject | readonly Json[],
): Pick<CallCommand, 'api' | 'verify'> {
  const parts: { api?: 'v3'; verify?: VerifyRecipe } = {}
  if (api === 'v3') parts.api = api
  if (verify === undefined || verify === null) return parts
  if (isReadMethod(method ?? '') || Array.isArray(params)) {
    throw new CommandError(
      'VERIFY_INVALID',
      `verify is for writes with named parameters, not for ${method}.`,
      {
        hint: 'Leave it out: what only reads is repeated anyway.',
      },
    )
  }
  if (typeof verify !== 'string' && !(isMethodName(verify.method) && isReadMethod(verify.method))) {
    throw new CommandError('VERIFY_INVALID', 'verify.method must be a method that only reads.', {
      hint: 'Name a list method with a filter that finds the new object: crm.deal.list with =ORIGIN_ID.',
    })
  }
  parts.verify =
    typeof verify === 'string'
      ? verify
      : { method: verify.method, params: (verify.params ?? {}) as JsonObject }
  return parts
}

function onlyForCalls(body: NativeCommandBody): void {
  for (const key of ['verify', 'api'] as const) {
    if (body[key] === undefined || body[key] === null) continue
    throw new CommandError(
      key === 'verify' ? 'VERIFY_INVALID' : 'FIELD_INVALID',
      `"${key}" is for single calls only.`,
      { hint: 'Send the calls one by one; those that wait side by side share requests anyway.' },
    )
  }
}

function replyOf(reply: NonNullable<NativeCommandBody['reply']>): ReplyTarget | false {
  return typeof reply === 'string' ? { exchange: '', routingKey: reply } : reply
}

/** AMQP allows 0 ("only if somebody is waiting"); we were waiting, so it sets no deadline. */
function expirationMs(expiration: string | undefined): number | undefined {
  if (expiration === undefined || expiration === '' || expiration === '0') return undefined
  if (/^\d{1,15}$/.test(expiration)) return Number(expiration) || undefined
  throw new CommandError('HEADER_INVALID', 'The property expiration is not a number of milliseconds.', {
    hint: 'AMQP writes it as text of digits: "60000" for a minute.',
  })
}

/** The first fault that zod found, in our words. */
function explain(issue: z.core.$ZodIssue | undefined, value: JsonObject): CommandError {
  if (issue?.code === 'unrecognized_keys') return unknownKey(issue.keys)
  const key = String(issue?.path[0] ?? '')
  const found = kindOf(value[key])
  const wanted = EXPECTED[key] ?? 'something else'
  const code = CODES[key] ?? 'FIELD_INVALID'
  if (key === 'method' && value[key] === '') {
    return new CommandError('METHOD_MISSING', 'The method is empty.', {
      hint: 'Name one, such as crm.deal.get.',
    })
  }
  const sentence =
    typeof value[key] === 'string'
      ? `"${key}" must be ${wanted}.`
      : `"${key}" must be ${wanted}, not ${found}.`
  return new CommandError(code, sentence, { hint: 'Leave it out or write null for the default.' })
}

/** What each key must be, for sentences; a test holds it against the schema. */
const EXPECTED: Readonly<Record<string, string>> = {
  portal: 'the domain, member id or alias of a portal',
  action: 'call, list or batch',
  method: 'the name of a REST method',
  params: 'an object, or an array for methods that take parameters by position',
  meta: 'any JSON value',
  priority: 'urgent, normal or bulk',
  orderKey: 'a text of 1 to 255 characters',
  deadlineMs: 'a whole number of milliseconds above 0',
  as: 'the id of a user',
  application: 'the client id of an application',
  api: 'v2 or v3',
  verify: 'origin, xml_id, or an object with the method and params of a list',
  reply: 'the name of a queue, an object with exchange and routingKey, or false',
}

const CODES: Readonly<Record<string, string>> = {
  action: 'ACTION_UNKNOWN',
  method: 'METHOD_INVALID',
  params: 'PARAMS_INVALID',
  verify: 'VERIFY_INVALID',
}

function unknownKey(keys: readonly string[]): CommandError {
  const key = (keys[0] ?? '').slice(0, 60)
  const nearest = Object.keys(EXPECTED)
    .map((name) => ({ name, far: distance(name.toLowerCase(), key.toLowerCase().replace(/[_-]/g, '')) }))
    .sort((a, b) => a.far - b.far)[0]
  const guess = nearest !== undefined && nearest.far <= 3 ? `Did you mean "${nearest.name}"? ` : ''
  return new CommandError('KEY_UNKNOWN', `A command has no key "${key}".`, {
    hint: `${guess}The keys are ${Object.keys(EXPECTED).join(', ')}; parameters of the method go into params.`,
  })
}
