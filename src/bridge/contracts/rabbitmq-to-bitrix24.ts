import type { HeaderValue, Message } from '../../brokers/broker.ts'
import type { CallCommand } from '../../model/command.ts'
import { CommandError } from '../../model/errors.ts'
import { isJsonObject, type Json, type JsonObject } from '../../model/json.ts'
import { isMethodName } from '../../model/methods.ts'
import type { Outcome } from '../../model/outcome.ts'
import type { Webhook } from '../../model/webhook.ts'
import { kindOf } from './batch-commands.ts'
import type { Contract, ReplyContext } from './contract.ts'
import { headerText, readRoutingHeaders } from './headers.ts'
import { DEFAULT_MAX_BODY_BYTES, parseJson, readText } from './json-text.ts'

/** The part of a webhook's address that all messages share: `https://example.bitrix24.com/rest`. */
export type RestRoot = Pick<Webhook, 'origin' | 'domain' | 'root'>

/** Settings of the contract of the older program RabbitMQtoBitrix24. */
export interface RabbitmqToBitrix24ContractOptions {
  /** Its `B24REST`; needed for messages that carry `user` and `token`. See `parseRestRoot`. */
  readonly rest?: RestRoot
  /** Larger bodies are refused; 16 MiB unless set. */
  readonly maxBodyBytes?: number
}

/**
 * Reads `https://example.bitrix24.com/rest/`, with or without the last slash. `undefined` for anything else, an
 * address with user and token included: those come with each message.
 */
export function parseRestRoot(text: string): RestRoot | undefined {
  if (!URL.canParse(text.trim())) return undefined
  const url = new URL(text.trim())
  if ((url.protocol !== 'https:' && url.protocol !== 'http:') || url.username !== '' || url.search !== '')
    return undefined
  const root = url.pathname.replace(/\/{2,}/g, '/').replace(/\/$/, '')
  return root.endsWith('/rest') ? { origin: url.origin, domain: url.host.toLowerCase(), root } : undefined
}

/**
 * The contract of the older program RabbitMQtoBitrix24 (Go): method and webhook in AMQP headers, parameters in the
 * body, the portal's answer as the reply, byte for byte. Replies carry the request's `message_id`.
 */
export function createRabbitmqToBitrix24Contract(options: RabbitmqToBitrix24ContractOptions = {}): Contract {
  const maxBodyBytes = options.maxBodyBytes ?? DEFAULT_MAX_BODY_BYTES
  return {
    name: 'rabbitmq-to-bitrix24',
    parse: (message) => parse(message, options.rest, maxBodyBytes),
    reply: (message, _command, outcome, context) => reply(message, outcome, context),
  }
}

function parse(message: Message, rest: RestRoot | undefined, maxBodyBytes: number): CallCommand {
  const method = requestHeader(message, 'method')
  if (method === undefined)
    throw invalid('The header method is missing.', 'Set it to a REST method such as crm.lead.add.')
  if (!isMethodName(method)) {
    throw invalid(
      'The header method has characters that no method has.',
      'A method is words with dots between them, such as crm.lead.add.',
    )
  }
  const routing = readRoutingHeaders(message.headers)
  const credential = readCredential(message, rest, routing.portal)
  const text = readText(message, maxBodyBytes)
  const { params, rawParams } = readParams(text)
  return {
    ...routing,
    ...(credential === undefined ? {} : { credential }),
    action: 'call',
    method,
    params,
    rawParams,
    raw: true,
    meta: {},
  }
}

/** `user` and `token` of the headers as a webhook; `undefined` when the message names a portal instead. */
function readCredential(
  message: Message,
  rest: RestRoot | undefined,
  portal: string | undefined,
): Webhook | undefined {
  const user = requestHeader(message, 'user')
  const token = requestHeader(message, 'token')
  if (portal !== undefined) {
    if (user === undefined && token === undefined) return undefined
    throw invalid('The headers name a portal and a webhook.', 'Send either x-b24-portal, or user and token.')
  }
  if (user === undefined || token === undefined) {
    const missing = user === undefined ? 'user' : 'token'
    throw invalid(
      `The header ${missing} is missing.`,
      'user and token are the two last parts of the webhook address.',
    )
  }
  if (!/^\d{1,18}$/.test(user))
    throw invalid('The header user is not a number.', 'It is the number behind /rest/.')
  if (!/^[\w-]{1,200}$/.test(token)) {
    throw invalid(
      'The header token is not a webhook code.',
      'It is the part behind the user number, without slashes.',
    )
  }
  if (rest === undefined) {
    throw invalid('No portal address is set for messages with user and token.', 'The operator sets B24REST.')
  }
  return { ...rest, userId: user, secret: token }
}

/** A header of the older program: text or a whole number. */
function requestHeader(message: Message, name: string): string | undefined {
  try {
    return headerText(message.headers, name)
  } catch {
    throw invalid(`The header ${name} is not text.`, 'Set it as a string.')
  }
}

/** The body as it came, and read. Nothing, `null` and `[]` are how various clients write "no parameters". */
function readParams(text: string): { params: JsonObject | readonly Json[]; rawParams: string } {
  if (text.trim() === '') return { params: {}, rawParams: '{}' }
  const value = parseJson(text)
  if (value === null) return { params: {}, rawParams: '{}' }
  if (Array.isArray(value)) return { params: value.length === 0 ? {} : value, rawParams: text }
  if (isJsonObject(value)) return { params: value, rawParams: text }
  throw invalid(`The body is ${kindOf(value)}, not parameters.`, 'Send a JSON object of parameters.')
}

function invalid(sentence: string, hint: string): CommandError {
  return new CommandError('INVALID_REQUEST', sentence, { hint })
}

function reply(message: Message, outcome: Outcome, context: ReplyContext): Message {
  const answer = outcome.result?.action === 'call' ? outcome.result.answer : undefined
  const { method } = message.headers
  return {
    body: Buffer.from(
      answer === undefined ? errorBody(message, outcome) : (answer.raw ?? JSON.stringify(answer.body)),
    ),
    headers: {
      'x-b24-status': answer?.status ?? outcome.status,
      ...(typeof method === 'string' ? { 'x-b24-method': method } : {}),
    },
    ...(message.messageId === undefined ? {} : { messageId: message.messageId }),
    ...(message.correlationId === undefined ? {} : { correlationId: message.correlationId }),
    contentType: 'text/json',
    timestamp: Math.floor(context.now / 1000),
    appId: 'bitrix24-bridge',
    persistent: true,
  }
}

function errorBody(message: Message, outcome: Outcome): string {
  const code = outcome.failure?.code ?? 'ERROR'
  const description = outcome.failure?.description ?? 'No reason is known.'
  return JSON.stringify({ error: code, error_description: hide(description, message.headers.token) })
}

/** The token came with the message and must not go out again in a sentence. */
function hide(text: string, token: HeaderValue | undefined): string {
  return typeof token === 'string' && token.length >= 4 ? text.replaceAll(token, '•••') : text
}
