import type { Message } from '../../brokers/broker.ts'
import type { Command } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { isMethodName } from '../../model/methods.ts'
import { kindOf, parseBatchCommands, parseHalt } from './batch-commands.ts'
import { bitrix24BridgeReply } from './bitrix24-bridge-reply.ts'
import {
  type Bitrix24BridgeContractOptions,
  type Bitrix24BridgeRules,
  DEFAULT_SELECT,
  isFalsy,
  resolveAction,
} from './bitrix24-bridge-words.ts'
import type { Contract } from './contract.ts'
import { readRoutingHeaders } from './headers.ts'
import { DEFAULT_MAX_BODY_BYTES, memberText, parseJson, readText } from './json-text.ts'
import { pythonQuery } from './python-query.ts'

export type { Bitrix24BridgeContractOptions } from './bitrix24-bridge-words.ts'

/**
 * The contract of the older program bitrix24-bridge (Python) and its Django client: a JSON command
 * `{ action, method, params, meta }` in, an envelope `{ entity, result: [...] }` out. Wire-compatible; what differs is
 * listed in `docs/replacing-an-older-bridge.md`.
 */
export function createBitrix24BridgeContract(options: Bitrix24BridgeContractOptions = {}): Contract {
  const rules: Bitrix24BridgeRules = {
    strict: options.strict ?? false,
    many: options.many ?? true,
    maxBodyBytes: options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES,
  }
  return {
    name: 'bitrix24-bridge',
    parse: (message) => parse(message, rules),
    reply: (message, command, outcome, context) =>
      bitrix24BridgeReply(message, command, outcome, context, rules),
  }
}

function parse(message: Message, rules: Bitrix24BridgeRules): Command {
  const text = readText(message, rules.maxBodyBytes)
  const value = parseJson(text)
  if (!isJsonObject(value)) {
    throw new CommandError('BODY_NOT_OBJECT', `The body is ${kindOf(value)}; a command is a JSON object.`, {
      hint: 'Send { "action": "default", "method": "crm.product.list", "params": {}, "meta": {} }.',
    })
  }
  const action = resolveAction(value.action)
  const base = {
    ...readRoutingHeaders(message.headers),
    method: checkMethod(value.method),
    meta: isFalsy(value.meta) ? {} : (value.meta as Json),
  }
  const params = checkParams(value.params, action)
  if (action === 'list') return { ...base, action, params: listParams(params as JsonObject) }
  if (action === 'batch') return { ...base, action, ...batchParts(params as JsonObject, text, rules) }
  const rawParams = isFalsy(value.params) ? '{}' : (memberText(text, 'params') ?? '{}')
  return { ...base, action: 'call', params, rawParams, raw: true }
}

function checkMethod(method: Json | undefined): string {
  if (isFalsy(method)) {
    throw new CommandError('METHOD_MISSING', 'The command names no method.', {
      hint: 'Add "method": "crm.product.list".',
    })
  }
  if (typeof method !== 'string' || !isMethodName(method)) {
    throw new CommandError('METHOD_INVALID', 'The method name has characters that no method has.', {
      hint: 'A method is words with dots between them, such as crm.product.list.',
    })
  }
  return method
}

function checkParams(params: Json | undefined, action: string): JsonObject | readonly Json[] {
  if (isFalsy(params)) return {}
  if (isJsonObject(params)) return params
  if (Array.isArray(params) && action === 'default') return params as readonly Json[]
  throw new CommandError(
    'PARAMS_INVALID',
    `The params of the action ${action} are ${kindOf(params)}, not an object.`,
    {
      hint: 'Send an object; only single calls of methods with positional parameters take an array.',
    },
  )
}

/** Pages are ours to walk, so `start` goes; a list without `select` also asks for the properties. */
function listParams(params: JsonObject): JsonObject {
  const { start: _, ...rest } = params
  return 'select' in rest ? rest : { ...rest, select: DEFAULT_SELECT }
}

function batchParts(params: JsonObject, text: string, rules: Bitrix24BridgeRules) {
  const entries = parseBatchCommands(params, text, rules.strict ? pythonQuery : undefined)
  const { cmd: _, ...rest } = params
  // The older program sent halt=0 whatever was asked.
  const halt = !rules.strict && (parseHalt(params.halt) ?? !isFalsy(params.halt))
  return { params: rest, entries, halt }
}
